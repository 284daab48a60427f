#!/usr/bin/env python3
"""Gemma 3 text in NumPy, as an engine for g4-conformance: the equations, one pass, no cache.

    g4-conformance run --program conformance/examples/gemma3_numpy.py --level text --level long --family gemma3
"""
import json
import sys
from pathlib import Path

import numpy as np
from g4_conformance.tensors import load, save


def engine(folder, dtype=np.float32):
    if not Path(folder, "config.json").exists():
        sys.exit(print("this engine runs whole models") or 77)
    config = json.loads(Path(folder, "config.json").read_text())
    c = config.get("text_config") or config
    if not c["model_type"].startswith("gemma3_text"):
        sys.exit(print(f"this engine runs Gemma 3 text, and no {c['model_type']}") or 77)
    if config.get("vision_config"):
        sys.exit(print("this engine has no picture tower") or 77)
    w = {k.replace("language_model.", "").removeprefix("model."): v.astype(dtype)
         for k, v in load(f"{folder}/model.safetensors").items()}
    inputs, about = load(f"{folder}/expected.safetensors"), json.loads(Path(folder, "case.json").read_text())
    D, H, K, d, eps = (c[k] for k in ("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps"))
    encodes = c.get("use_bidirectional_attention", False)
    kinds = c.get("layer_types") or ["sliding_attention" if (l + 1) % c["sliding_window_pattern"] else "full_attention"
                                     for l in range(c["num_hidden_layers"])]
    ropes = c.get("rope_parameters") or {"sliding_attention": {"rope_theta": c["rope_local_base_freq"]},
                                         "full_attention": {"rope_theta": c["rope_theta"], **(c["rope_scaling"] or {})}}
    linear = lambda x, name: x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)
    norm = lambda x, name: x / np.sqrt(np.mean(x * x, -1, keepdims=True) + dtype(eps)) * (1 + w[f"{name}.weight"])
    cap = lambda x, most: most * np.tanh(x / most) if most else x
    gelu = lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def turned(x, positions, rope):  # [T, heads, d]: element i with element i + d / 2
        angle = positions[:, None] * rope["rope_theta"] ** (-np.arange(0, d, 2) / d) / rope.get("factor", 1)
        cos, sin = np.cos(angle)[:, None].astype(dtype), np.sin(angle)[:, None].astype(dtype)
        a, b = np.split(x, 2, -1)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def run(ids, positions=None, images=None):
        positions = np.arange(len(ids)) if positions is None else positions
        images = np.zeros(len(ids), bool) if images is None else images
        seen = {"embed": w["embed_tokens.weight"][ids] * dtype(np.sqrt(D))}
        x, T = seen["embed"], len(ids)
        ahead = positions[None, :] - positions[:, None]  # [query, key]
        run_of = np.cumsum(np.diff(images, prepend=0) > 0) * images  # pictures are numbered from 1
        together = (run_of[:, None] == run_of[None, :]) & (run_of[:, None] > 0)
        for l, kind in enumerate(kinds):
            part = f"layers.{l}."
            y = norm(x, part + "input_layernorm")
            q, k, v = (linear(y, part + f"self_attn.{n}_proj").reshape(T, -1, d) for n in "qkv")
            q, k = (turned(norm(z, part + f"self_attn.{n}_norm"), positions, ropes[kind]) for z, n in ((q, "q"), (k, "k")))
            reach = T if kind == "full_attention" else c["sliding_window"] // 2 + 1 if encodes else c["sliding_window"]
            sees = (abs(ahead) < reach) if encodes else ((ahead <= 0) | together) & (ahead > -reach)
            score = np.einsum("qhd,khd->hqk", q, np.repeat(k, H // K, 1)) / dtype(np.sqrt(c["query_pre_attn_scalar"]))
            score = np.where(sees, cap(score, c.get("attn_logit_softcapping")), -np.inf)
            p = np.exp(score - score.max(-1, keepdims=True))
            out = np.einsum("hqk,khd->qhd", p / p.sum(-1, keepdims=True), np.repeat(v, H // K, 1)).reshape(T, H * d)
            x = x + norm(linear(out, part + "self_attn.o_proj"), part + "post_attention_layernorm")
            y = norm(x, part + "pre_feedforward_layernorm")
            y = linear(gelu(linear(y, part + "mlp.gate_proj")) * linear(y, part + "mlp.up_proj"), part + "mlp.down_proj")
            x = x + norm(y, part + "post_feedforward_layernorm")
            seen |= {f"attn.{l}.query": q, f"attn.{l}.key": k, f"attn.{l}.value": v, f"attn.{l}.out": out, f"mlp.{l}.out": y}
            seen[f"hidden.{l}"] = x
        seen["final_norm"] = norm(x, "norm")
        head = w.get("lm_head.weight", w["embed_tokens.weight"])
        return seen | {"logits": cap(seen["final_norm"] @ head.T, c.get("final_logit_softcapping"))}

    ids = inputs["input_ids"]
    images = inputs.get("token_type_ids", np.zeros_like(ids)) == 1
    out = {k: v for k, v in run(ids, images=images).items() if k in about["outputs"]}
    logits, chosen = [], []
    for _ in range(about.get("new_tokens") or 0):
        text = np.concatenate([ids, chosen]).astype(int)
        logits.append(run(text, images=np.append(images, np.zeros(len(chosen), bool)))["logits"][-1])
        chosen.append(np.argmax(logits[-1]))
    if chosen:
        out |= {"greedy_ids": np.array(chosen, np.int32), "greedy_logits": np.array(logits)}
    if encodes:  # the mean of all rows, two heads, length 1
        for text in ("", "short."):
            rows = run(inputs[text + "input_ids"])
            out[text + "pooled"] = v = rows["final_norm"].mean(0)
            for i in (0, 1):
                out[f"{text}dense.{i}"] = v = load(f"{folder}/{i + 2}_Dense/model.safetensors")["linear.weight"].astype(dtype) @ v
            out[text + "embedding"] = v / np.sqrt(v @ v)
        return {k: v for k, v in out.items() if k in about["outputs"]}
    if "offset.input_ids" in inputs:  # positions that start far away
        n = about["outputs"]["offset.logits"]["shape"][0]
        out["offset.logits"] = run(inputs["offset.input_ids"], inputs["offset.position_ids"])["logits"][-n:]
    return out


if __name__ == "__main__":
    save(sys.argv[2], engine(sys.argv[1]))
