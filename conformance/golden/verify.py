"""Runs the reference again on case folders that exist and compares: does this machine get what the folders say?"""

import json

import torch
from safetensors.torch import load_file

from . import reference


def folders(paths, gguf=None):
    failed = 0
    for path in paths:
        about = json.loads((path / "case.json").read_text())
        expected = load_file(path / "expected.safetensors")
        if "prompts" in about:
            lines = real(about, expected, gguf) if gguf else None
        elif (path / "config.json").exists() and "input_ids" in expected and "outputs" in about:
            lines = case(path, about, expected)
        else:
            lines = None
        if lines is None:
            print(f"{path.name:24} skipped (not a text case, or no model given)")
            continue
        wrong = [line for line in lines if not line[3]]
        failed += bool(wrong)
        worst = max((error / limit for _, error, limit, _ in lines if limit), default=0.0)
        print(f"{path.name:24} {len(lines):3} tensors, largest error {worst:.3f} of its tolerance"
              f"{'' if not wrong else ', FAIL: ' + ', '.join(line[0] for line in wrong)}", flush=True)
    return 1 if failed else 0


def compare(name, got, wanted, atol):
    if not wanted.dtype.is_floating_point:
        same = got.shape == wanted.shape and torch.equal(got.to(wanted.dtype), wanted)
        return name, 0.0, 0.0, same
    if got.shape != wanted.shape:
        return name, float("inf"), atol, False
    error = float((got.double() - wanted.double()).abs().max())
    return name, error, atol, error <= atol


def case(path, about, expected):
    model = reference.load(path)
    ids = expected["input_ids"].long()
    types = next((expected[k].long() for k in ("token_type_ids", "mm_token_type_ids") if k in expected), None)
    if any(k.startswith(("pixel_values", "input_features")) for k in expected):
        return None
    inner = tuple({int(name.split(".")[1]) for name in expected if name.startswith(("attn.", "mlp."))})
    got = {}
    if "logits_without_the_cap" in expected:
        got["logits_without_the_cap"] = reference.forward(model, ids)["logits"]
    from .make import attention_cap

    class Row:
        attention_soft_cap = (reference.text_model(model).config.attn_logit_softcapping
                              if "logits_without_the_cap" in expected else 0)

    with attention_cap(Row):
        got.update(reference.forward(model, ids, token_types=types, inner=inner))
        if "rows" in expected:
            rows = expected["rows"].long()
            got = {k: v[rows] for k, v in got.items()}
        if "greedy_ids" in expected:
            got["greedy_ids"], got["greedy_logits"] = reference.greedy(
                model, ids, len(expected["greedy_ids"]), token_types=types)
    if "offset.input_ids" in expected:
        got["offset.logits"] = reference.forward(
            model, expected["offset.input_ids"].long(), position_ids=expected["offset.position_ids"].long()[None]
        )["logits"][-64:]
        got["offset.logits_exact"] = got["offset.logits"]
    if "pooled" in expected:
        got.update(embed(path, got["final_norm"]))
        short = embed(path, reference.forward(model, expected["short.input_ids"].long())["final_norm"])
        got.update({f"short.{k}": v for k, v in short.items()})
    if "draft.logits" in expected:
        from . import drafting
        rounds, got["speculative_ids"] = drafting.speculate(
            model, reference.load(path / "assistant"), ids, len(expected["speculative_ids"]))
        got.update(rounds)
    outputs = about["outputs"]
    return [compare(name, got[name], expected[name], outputs[name].get("atol", 0.0)) for name in outputs if name in got]


def embed(path, final_norm):
    values = {"pooled": final_norm.mean(0)}
    for i, where in enumerate(("2_Dense", "3_Dense")):
        matrix = load_file(path / where / "model.safetensors")["linear.weight"].float()
        values[f"dense.{i}"] = matrix @ values["pooled" if i == 0 else "dense.0"]
    values["embedding"] = values["dense.1"] / values["dense.1"].norm()
    return values


def real(about, expected, gguf):
    from . import real_model

    model, _ = real_model.load(gguf)
    tokenizer = real_model.Tokenizer(gguf)
    lines = []
    limit = about["suggested_tolerance"]
    for row in about["prompts"]:
        i = row["index"]
        want = lambda name, i=i: expected[f"{i}.{name}"]  # noqa: E731
        ids = torch.tensor(tokenizer.encode(row["text"]))
        lines.append(compare(f"{i}.input_ids", ids, want("input_ids"), 0))
        values, final = real_model.run(model, ids)
        logits = model.lm_head(final[-1])
        for layer, (a, b) in enumerate(zip(values["hidden"], want("hidden"))):
            lines.append(compare(f"{i}.hidden.{layer}", a, b, limit["hidden_rtol_of_max_abs"] * float(b.abs().max())))
        lines.append(compare(f"{i}.top_ids", logits.topk(50).indices, want("top_ids"), 0))
        lines.append(compare(f"{i}.top_logits", logits.topk(50).values, want("top_logits"), limit["logits_atol"]))
        lines.append(compare(f"{i}.logits_every_64", logits[::64], want("logits_every_64"), limit["logits_atol"]))
        sure = row["first_step_with_margin_below_0_01"]
        sure = len(want("greedy_ids")) if sure is None else sure
        chosen, _ = reference.greedy(model, ids, sure)
        lines.append(compare(f"{i}.greedy_ids", chosen, want("greedy_ids")[:sure], 0))
        if f"{i}.each_logsumexp" in expected:
            each = real_model.every_position(model, final, ids)
            for name in ("each_logsumexp", "each_next_logit"):
                lines.append(compare(f"{i}.{name}", each[name], want(name), limit["logits_atol"]))
    return lines
