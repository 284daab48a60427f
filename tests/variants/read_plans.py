#!/usr/bin/env python3
"""Writes data/plans/transformers.txt: how transformers shares its Gemma models out among ranks.

    tests/variants/read_plans.py > tests/variants/data/plans/transformers.txt      (with transformers 5.23.0)

One line for each part that has a rule: the generation, the module, the word.
"""
import importlib

import transformers

CLASSES = [("gemma3", "Gemma3", "gemma3"), ("gemma3n", "Gemma3n", "gemma3n"), ("gemma4", "Gemma4", "gemma4"),
           ("gemma4_12b", "Gemma4Unified", "gemma4_unified")]

print(f"# base_model_tp_plan and lm_head's _tp_plan of transformers {transformers.__version__}, by read_plans.py")
for name, stem, module in CLASSES:
    config = importlib.import_module(f"transformers.models.{module}.configuration_{module}")
    plan = dict(getattr(config, stem + "TextConfig").base_model_tp_plan)
    causal = "gemma4" if module == "gemma4_unified" else module
    model = importlib.import_module(f"transformers.models.{causal}.modeling_{causal}")
    plan |= getattr(getattr(model, ("Gemma4" if causal == "gemma4" else stem) + "ForCausalLM"), "_tp_plan")
    for part, word in plan.items():
        print(name, part.removeprefix("layers.*."), word)
