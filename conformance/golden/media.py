"""Pictures and sounds of the unified Gemma 4: their inputs, what its embedders make of them, and mistakes in those."""

import numpy as np
import torch

from . import folder, reference


def config_of(row):
    """The parts of config.json that are for pictures and sounds."""
    return {"vision_config": {"model_type": "gemma4_unified_vision", **row.media["vision"]},
            "audio_config": {"model_type": "gemma4_unified_audio", **row.media["audio"]}}


def layout(row, ids):
    """Where the media go: `ids` with marks and places, and the type of each position."""
    ids, types = ids.tolist(), []
    out = []
    pieces = [("picture", columns * rows) for columns, rows in row.media["pictures"]]
    pieces += [("sound", frames) for frames in row.media["clips"]]
    pieces.sort(key=lambda piece: piece[1])                     # pictures and sounds in turn
    step = len(ids) // (len(pieces) + 1)
    for i, piece in enumerate([*pieces, None]):
        text = ids[i * step:(i + 1) * step] if piece else ids[i * step:]
        out += text
        types += [0] * len(text)
        if piece is None:
            break
        what, count = piece
        before, each, behind, kind = (176, 178, 177, 1) if what == "picture" else (180, 182, 181, 3)
        out += [before, *[each] * count, behind]
        types += [0, *[kind] * count, 0]
    return torch.tensor(out), torch.tensor(types)


def inputs(row):
    """Patches in 0 … 1 and frames in −1 … 1, padded as the processors pad them."""
    rng = np.random.default_rng([row.seed, 11])
    vision = row.media["vision"]
    side = vision["patch_size"] * vision["pooling_kernel_size"]
    most = row.media["padded_patches"]
    pixels, places = [], []
    for columns, rows in sorted(row.media["pictures"], key=lambda p: p[0] * p[1]):
        n = columns * rows
        patches = np.zeros((most, 3 * side * side), np.float32)
        patches[:n] = np.round(rng.uniform(0, 255, (n, 3 * side * side))) / np.float32(255)
        at = np.full((most, 2), -1)
        at[:n] = [(x, y) for y in range(rows) for x in range(columns)]
        pixels.append(patches)
        places.append(at)
    width, longest = row.media["audio"]["audio_embed_dim"], row.media["padded_frames"]
    sounds, masks = [], []
    for frames in sorted(row.media["clips"]):
        sound = np.zeros((longest, width), np.float32)
        sound[:frames] = rng.normal(0, 0.2, (frames, width))
        sound[frames - 1, width // 3:] = 0                      # the last frame is filled up with noughts
        sounds.append(sound)
        masks.append(np.arange(longest) < frames)
    return {"pixel_values": torch.from_numpy(np.stack(pixels)), "image_position_ids": torch.from_numpy(np.stack(places)),
            "input_features": torch.from_numpy(np.stack(sounds)), "input_features_mask": torch.from_numpy(np.stack(masks))}


def tapped(model, ids, types, media, watched, dtype=torch.float32):
    """All taps of one pass, those of the towers too.

    watched: (name of the tap, module, what is kept of its output)
    """
    media = {k: v.to(dtype) if v.dtype.is_floating_point else v for k, v in media.items()}
    first = lambda out: out[0] if isinstance(out, tuple) else getattr(out, "last_hidden_state", out)  # noqa: E731
    kept = {}
    handles = [module.register_forward_hook(
        lambda m, a, out, name=name, shape=shape: kept.update({name: shape(first(out)).clone()}))
        for name, module, shape in watched]
    try:
        values = reference.forward(model, ids, token_types=types, dtype=dtype, **media)
    finally:
        for handle in handles:
            handle.remove()
    return {**kept, **values}


def soft_rows_of(embedder):
    """What makes soft rows of Gemma 3n: the map is shared with the tower's own ids, and run for those first and last."""
    watched, original = torch.nn.Identity(), type(embedder).forward

    def forward(input_ids=None, inputs_embeds=None):
        out = original(embedder, input_ids=input_ids, inputs_embeds=inputs_embeds)
        return watched(out) if inputs_embeds is not None else out

    embedder.forward = forward
    return watched


def zero_outside(valid):
    """Rows of padding as nought: what a tower leaves there means nothing."""
    return lambda x: torch.where(valid[..., None], x, torch.zeros((), dtype=x.dtype))


def forward(model, ids, types, media, dtype=torch.float32):
    valid, heard = (media["image_position_ids"] >= 0).all(-1), media["input_features_mask"]
    inside = model.model.embed_vision
    return tapped(model, ids, types, media, [
        *[(f"vision.{name}", getattr(inside, name), zero_outside(valid)) for name in ("patch_dense", "patch_ln2", "pos_norm")],
        ("vision.soft_tokens", inside.multimodal_embedder, lambda out: out[valid]),
        ("audio.soft_tokens", model.model.embed_audio, lambda out: out[heard])], dtype)


def greedy(model, ids, count, types, media, dtype=torch.float32):
    """`count` tokens: one prefill of the prompt with its media, then one token at a time through the cache."""
    media = {k: v.to(dtype) if v.dtype.is_floating_point else v for k, v in media.items()}
    cache = reference.DynamicCache(config=reference.text_model(model).config)
    chosen, rows = [], []
    with reference.arithmetic(dtype):
        step = ids.reshape(1, -1)
        more = dict(media)
        if types is not None:
            more["attention_mask"] = reference.mask_for_images(model, step, types.reshape(1, -1), cache)
        for _ in range(count):
            logits = model(input_ids=step, past_key_values=cache, use_cache=True, **more).logits[0, -1]
            more = {}
            rows.append(logits.clone())
            chosen.append(int(logits.argmax()))
            step = torch.tensor([[chosen[-1]]])
    return torch.tensor(chosen), torch.stack(rows)


def input_floats(expected, values):
    for name, tensor in values.items():
        expected.tensors[name] = tensor
        expected.inputs[name] = {"shape": list(tensor.shape), "dtype": "F32"}


def judge(expected, forward, models, row, out, ids, types, media, top2, caught, tight, unsuitable, margin_wanted):
    """Fills in what the reference computes of a case, and says what was found; raises where the case would prove little.

    models: in float32 and in float64
    """
    model, wide = models
    expected.all(forward(model, ids, types, media), forward(wide, ids, types, media, torch.float64))
    tight(expected)
    chosen, logits = greedy(model, ids, row.new, types, media)
    margin = float(top2(logits).min())
    if margin < margin_wanted:
        raise unsuitable(f"margin {margin:.4f}")
    if len(set(chosen.tolist())) < row.new // 3:
        raise unsuitable("the continuation repeats itself")
    exactly, exact_logits = greedy(wide, ids, row.new, types, media, torch.float64)
    if not torch.equal(chosen, exactly):
        raise unsuitable("float64 chooses other ids")
    expected.exact("greedy_ids", chosen)
    expected.real("greedy_logits", logits, exact_logits)
    return {"greedy_ids_equal_in_float64": True, "greedy_min_top2_margin": folder.digits(margin, 4),
            "greedy_distinct_ids": len(set(chosen.tolist())),
            "mistakes": caught(row, out, lambda m: forward(m, ids, types, media), expected.outputs)}


def case(row, out, ids, top2, caught, tight, unsuitable, margin_wanted):
    model, wide = reference.load(out), reference.load(out, torch.float64)
    ids, types = layout(row, ids)
    media = inputs(row)
    expected = folder.Expected()
    expected.input("input_ids", ids)
    expected.input("mm_token_type_ids", types)
    for name in ("image_position_ids", "input_features_mask"):
        values = media[name]
        expected.input(name, values.to(torch.uint8) if values.dtype == torch.bool else values)
    input_floats(expected, {name: media[name] for name in ("pixel_values", "input_features")})
    checks = judge(expected, forward, (model, wide), row, out, ids, types, media, top2, lambda *of: caught(*of, True), tight,
                   unsuitable, margin_wanted)
    return expected, checks
