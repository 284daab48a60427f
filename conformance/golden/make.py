"""One case from its row in the table: write the checkpoint, run the reference twice, check the case, write it."""

import contextlib
import copy
import inspect
import json
import pathlib
import shutil

import numpy as np
import torch
import transformers

from . import ears, eyes, folder, media, mistakes, reference, weights

SMALLEST_MARGIN = 0.02   # between the two best logits of every greedy step
SMALLEST_GAP = 2e-4      # between the last chosen and the first rejected expert, in probability
DETECTABLE = 25          # a mistake has to move some tensor by this many tolerances
ROUNDING = 3e-5          # float32 may be this far from float64, as a part of the tensor's largest value


class Unsuitable(Exception):
    """This prompt leaves a choice too close to call; another one is tried."""


def case(name, row, out, gguf):
    out = pathlib.Path(out)
    if out.exists():
        shutil.rmtree(out)
    if row.kind == "real":
        from . import real_model
        return real_model.case(out, gguf)
    towers = {"eyes": eyes, "ears": ears}.get(row.kind, media)
    config = folder.write_config(out, row.architecture, row.settings, spelling=row.spelling, dtype=row.dtype,
                                 nested=row.nested, keep=row.keep,
                                 towers=towers.config_of(row) if row.media else None)
    folder.write_model(out, row.architecture, row.seed, dtype=row.dtype)
    about = {
        "content": row.content, "family": row.family, "architecture": row.architecture,
        **({"like": row.like} if row.like else {}),
        "checkpoint_dtype": row.dtype, "compute_dtype": "float32", "seed": row.seed, "attn_implementation": "eager",
        "experts_implementation": "eager", "transformers": transformers.__version__, "torch": torch.__version__,
        "prompt_length": row.prompt, "new_tokens": row.new, "config_style": row.spelling,
        **({"note": row.note} if row.note else {})}
    kind = {"text": text, "encoder": text, "long": long, "embedder": embedder, "drafter": drafter,
            "media": with_media, "eyes": with_eyes, "ears": with_ears}[row.kind]
    for attempt in range(60):
        try:
            expected, checks = kind(row, out, prompt(row, attempt))
            break
        except Unsuitable as reason:
            last = reason
    else:
        raise SystemExit(f"{name}: no suitable prompt in 60 attempts ({last})")
    checks["attempt"] = attempt
    checks["mistakes_note"] = (
        "the reference itself made to err, one mistake at a time: the first tensor to leave its tolerance, by how many "
        "tolerances the worst tensor is off, and the largest change of the last tensor (logits or embedding)")
    folder.write_case(out, about, expected, checks)
    least = min(checks["mistakes"].items(), key=lambda item: item[1]["tolerances"])
    return (f"{len(expected.tensors)} tensors, {len(checks['mistakes'])} mistakes caught, "
            f"the least by {least[1]['tolerances']} tolerances: {least[0]}")


def prompt(row, attempt):
    rng = np.random.default_rng([row.seed, 7, attempt])
    ids = rng.integers(3, 176, row.prompt)  # the ids above belong to images and other media, in small
    ids[0] = 2
    if row.kind == "embedder":
        ids[-1] = 1
    table = row.settings.get("vocab_size_per_layer_input", row.settings["vocab_size"])
    if 0 < table < row.settings["vocab_size"]:
        ids[[5, 11]] = [table, row.settings["vocab_size"] - 1]  # ids beyond the per-layer table
    for first, last in row.images:
        ids[first:last] = row.image_id
    return torch.from_numpy(ids)


def token_types(row, length):
    if not row.images:
        return None
    types = torch.zeros(length, dtype=torch.long)
    for first, last in row.images:
        types[first:last] = 1
    return types


# ---------------------------------------------------------------------------------------------------------------------
# the attention cap that the reference forgets for Gemma 3


@contextlib.contextmanager
def attention_cap(row):
    from transformers.models.gemma3 import modeling_gemma3 as code

    original = code.eager_attention_forward
    if row.attention_soft_cap:
        assert "softcap" in inspect.signature(original).parameters
        code.eager_attention_forward = lambda *a, **k: original(*a, **{**k, "softcap": row.attention_soft_cap})
    try:
        yield original
    finally:
        code.eager_attention_forward = original


# ---------------------------------------------------------------------------------------------------------------------
# checks


def tight(expected):
    """Some prompts meet a near-tie inside the model that blows rounding up; their tolerances would hide mistakes."""
    for name, about in expected.outputs.items():
        if "atol" in about and not name.startswith("offset.") \
                and about["f32_vs_f64_max_abs_err"] > ROUNDING * about["max_abs"]:
            raise Unsuitable(f"{name} is {about['f32_vs_f64_max_abs_err']:.2g} from float64")


def top2(logits):
    best = logits.topk(2, dim=-1).values
    return best[..., 0] - best[..., 1]


def greedy_checks(row, model, wide, ids, types):
    """The continuation, its float64 twin, and the checks that make it fit to be compared exactly."""
    chosen, logits = reference.greedy(model, ids, row.new, token_types=types)
    margin = float(top2(logits).min())
    if margin < SMALLEST_MARGIN:
        raise Unsuitable(f"margin {margin:.4f}")
    if len(set(chosen.tolist())) < row.new // 3:
        raise Unsuitable("the continuation repeats itself")
    exact, exact_logits = reference.greedy(wide, ids, row.new, token_types=types, dtype=torch.float64)
    if not torch.equal(chosen, exact):
        raise Unsuitable("float64 chooses other ids")
    everything = torch.cat([ids, chosen])
    all_types = None if types is None else torch.cat([types, torch.zeros_like(chosen)])
    again = reference.forward(model, everything, token_types=all_types)["logits"][len(ids) - 1:-1]
    checks = {
        "cached_decode_vs_full_recompute_max_abs": folder.digits(float((again - logits).abs().max())),
        "greedy_ids_equal_in_float64": True,
        "greedy_min_top2_margin": folder.digits(margin, 4),
        "greedy_distinct_ids": len(set(chosen.tolist())),
    }
    if types is None:  # generate() of a text model takes no token types
        agrees = torch.equal(reference.library_generate(model, ids, row.new), chosen)
        if not agrees:
            raise SystemExit("generate() gives another continuation")
        checks["generate_agrees"] = agrees
    return chosen, logits, exact_logits, checks


def router_gap(model, ids, types):
    gaps = []
    hooks = [layer.router.register_forward_hook(
        lambda m, a, out: gaps.append(out[0].sort(-1, descending=True).values)) for layer in
        reference.text_model(model).layers if hasattr(layer, "router")]
    reference.forward(model, ids, token_types=types)
    for hook in hooks:
        hook.remove()
    k = reference.text_model(model).config.top_k_experts if gaps else 0
    # Neighbours among the chosen count too: their order is part of the case.
    return min(float((g[:, :k] - g[:, 1:k + 1]).min()) for g in gaps) if gaps else None


def caught(row, out, run, outputs, images=False, original_attention=None):
    """Every mistake's effect; refuses the case when one of them would pass within tolerance."""
    right = reference.load(out)
    right.runs_with_token_types = images
    right.attention_soft_cap_in_use = original_attention if row.attention_soft_cap else None
    found = mistakes.changes(lambda: copy.deepcopy(right), run, outputs)
    for name, (first, most, _) in found.items():
        enough = 0 if name in mistakes.SMALL or name in row.unseen else DETECTABLE
        if most < enough:
            raise SystemExit(f"{out.name}: {name} moves nothing by more than {most:.3g} tolerances")
    return {name: {"first": first, "tolerances": folder.digits(most), "last": folder.digits(change)}
            for name, (first, most, change) in found.items()}


# ---------------------------------------------------------------------------------------------------------------------
# kinds of case


def text(row, out, ids):
    model, wide = reference.load(out), reference.load(out, torch.float64)
    types = token_types(row, len(ids))
    expected = folder.Expected()
    expected.input("input_ids", ids)
    if types is not None:
        expected.input("token_type_ids" if row.family == "gemma3" else "mm_token_type_ids", types)
    with attention_cap(row) as original:
        values = reference.forward(model, ids, token_types=types, inner=row.inner)
        exact = reference.forward(wide, ids, token_types=types, inner=row.inner, dtype=torch.float64)
        for name in values:
            if name.endswith(".index") and not torch.equal(values[name], exact[name]):
                raise Unsuitable("float64 chooses other experts")
        checks = {}
        gap = router_gap(model, ids, types)
        if gap is not None:
            if gap < SMALLEST_GAP:
                raise Unsuitable(f"experts only {gap:.2g} apart")
            checks["router_min_prob_gap"] = folder.digits(gap)
        expected.all(values, exact)
        tight(expected)
        if row.new:
            chosen, logits, exact_logits, more = greedy_checks(row, model, wide, ids, types)
            checks.update(more)
            expected.exact("greedy_ids", chosen)
            expected.real("greedy_logits", logits, exact_logits)
        run = lambda m: reference.forward(m, ids, token_types=types)  # noqa: E731
        checks["mistakes"] = caught(row, out, run, expected.outputs, types is not None, original)
    if row.attention_soft_cap:
        expected.real("logits_without_the_cap", reference.forward(model, ids)["logits"],
                      reference.forward(wide, ids, dtype=torch.float64)["logits"])
    again = reference.forward(reference.load(out), ids, token_types=types)
    if not row.attention_soft_cap:
        checks["reload_from_directory_max_abs"] = folder.digits(float((again["logits"] - values["logits"]).abs().max()))
    return expected, checks


def long(row, out, ids):
    """Long prompts: only some rows are kept. Then a second run whose positions start far away."""
    model, wide = reference.load(out), reference.load(out, torch.float64)
    rows = torch.tensor(sorted(set(range(0, len(ids), 97)) | set(range(len(ids) - 64, len(ids)))))
    values, exact = reference.forward(model, ids), reference.forward(wide, ids, dtype=torch.float64)
    last = f"hidden.{len(reference.text_model(model).layers) - 1}"
    expected = folder.Expected()
    expected.input("input_ids", ids)
    expected.input("rows", rows)
    for name in (last, "final_norm", "logits"):
        expected.real(name, values[name][rows], exact[name][rows])
    tight(expected)
    chosen, logits, exact_logits, checks = greedy_checks(row, model, wide, ids, None)
    expected.exact("greedy_ids", chosen)
    expected.real("greedy_logits", logits, exact_logits)

    head, positions = ids[:200], torch.arange(200) + row.offset
    expected.input("offset.input_ids", head)
    expected.input("offset.position_ids", positions)
    reference.rotary_tables_in_float64(wide)
    there = reference.forward(model, head, position_ids=positions[None])["logits"][-64:]
    truth = reference.forward(wide, head, position_ids=positions[None], dtype=torch.float64)["logits"][-64:]
    atol = max(6 * float((there - truth).abs().max()), 2e-5 * float(there.abs().max()))
    expected.real("offset.logits", there, truth, atol)
    expected.real("offset.logits_exact", truth, truth, atol)
    expected.outputs["offset.logits_exact"]["f32_vs_f64_max_abs_err"] = expected.outputs["offset.logits"][
        "f32_vs_f64_max_abs_err"]

    def run(m):
        return {k: v[rows] for k, v in reference.forward(m, ids).items() if k in (last, "final_norm", "logits")}

    checks["mistakes"] = caught(row, out, run, expected.outputs)
    other = ids.clone()
    other[5:25] = (other[5:25] + 41) % 170 + 3
    moved = (reference.forward(model, other)["logits"][-64:] - values["logits"][-64:]).abs().max()
    checks["max_abs_change_of_last_64_logits_when_tokens_5_to_24_change"] = folder.digits(float(moved))
    expected.outputs["offset.logits"]["why"] = (
        "at such positions the float32 angle position * inv_freq is itself rounded: six times the distance between "
        "float32 and float64 angles covers an engine that does either")
    return expected, checks


def embedder(row, out, ids):
    """Laid out as a sentence-transformers folder."""
    width = row.settings["hidden_size"]
    heads = [(width, 2 * width), (2 * width, width - 4)]
    dense = []
    (out / "1_Pooling").mkdir(exist_ok=True)
    modules = ["Transformer", "Pooling", "Dense", "Dense", "Normalize"]
    (out / "modules.json").write_text(json.dumps(
        [{"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{m}", "type": f"sentence_transformers.models.{m}"}
         for i, m in enumerate(modules)], indent=2) + "\n")
    (out / "1_Pooling" / "config.json").write_text(json.dumps(
        {"word_embedding_dimension": width, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
         "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
         "pooling_mode_weightedmean_tokens": False, "pooling_mode_lasttoken": False, "include_prompt": True},
        indent=2) + "\n")
    for i, (a, b) in enumerate(heads):
        where = out / f"{i + 2}_Dense"
        where.mkdir(exist_ok=True)
        matrix = torch.from_numpy(weights.draw(f"dense.{i}.linear.weight", (b, a), row.seed, one_plus_weight=False))
        matrix = matrix.to({"float32": torch.float32, "bfloat16": torch.bfloat16}[row.dtype])
        folder.write_tensors(where / "model.safetensors", {"linear.weight": matrix})
        (where / "config.json").write_text(json.dumps(
            {"in_features": a, "out_features": b, "bias": False,
             "activation_function": "torch.nn.modules.linear.Identity"}, indent=2) + "\n")
        dense.append(matrix)

    def run(model, ids, dtype=torch.float32):
        values = reference.forward(model, ids, dtype=dtype)
        values["pooled"] = values["final_norm"].mean(0)
        values["dense.0"] = dense[0].to(dtype) @ values["pooled"]
        values["dense.1"] = dense[1].to(dtype) @ values["dense.0"]
        values["embedding"] = values["dense.1"] / values["dense.1"].norm()
        return values

    model, wide = reference.load(out), reference.load(out, torch.float64)
    expected = folder.Expected()
    expected.input("input_ids", ids)
    values, exact = run(model, ids), run(wide, ids, torch.float64)
    expected.all(values, exact)
    short = torch.cat([ids[:5], ids[-1:]])
    expected.input("short.input_ids", short)
    a, b = run(model, short), run(wide, short, torch.float64)
    for name in ("pooled", "embedding"):
        expected.real(f"short.{name}", a[name], b[name])
    found = caught(row, out, lambda m: run(m, ids), expected.outputs)
    return expected, {"window_in_use": reference.text_model(model).config.sliding_window, "mistakes": found}


def drafter(row, out, ids):
    from . import drafting
    return drafting.case(row, out, ids, greedy_checks, caught, tight, Unsuitable)


def with_eyes(row, out, ids):
    return eyes.case(row, out, ids, top2, caught, tight, Unsuitable, SMALLEST_MARGIN)


def with_ears(row, out, ids):
    return ears.case(row, out, ids, top2, caught, tight, Unsuitable, SMALLEST_MARGIN)


def with_media(row, out, ids):
    return media.case(row, out, ids, top2, caught, tight, Unsuitable, SMALLEST_MARGIN)
