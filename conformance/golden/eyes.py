"""Pictures through the towers of Gemma 3, 3n and 4: their inputs, what each stage of it makes of them, and mistakes in those."""

import numpy as np
import torch

from . import folder, media, reference


def config_of(row):
    if row.family == "gemma3n":
        from timm.models._efficientnet_builder import decode_arch_def
        return {"vision_config": {
                    "model_type": "gemma3n_vision", "architecture": "mobilenetv5_300m_enc", "hidden_size": 2048, "do_pooling": False,
                    "vocab_size": 4, "vocab_offset": 184, "rms_norm_eps": 1e-6, "num_classes": 2, "label_names": ["0", "1"],
                    "model_args": {"stem_size": row.media["stem"], "msfa_output_resolution": row.media["side"],
                                   "block_args": decode_arch_def(row.media["blocks"])}},
                "audio_config": {  # as small as one can be: the reference has no model without
                    "model_type": "gemma3n_audio", "hidden_size": 8, "input_feat_size": 16, "conf_num_hidden_layers": 1,
                    "conf_num_attention_heads": 2, "conf_attention_chunk_size": 4, "conf_attention_context_left": 3,
                    "sscp_conv_channel_size": [2, 1], "vocab_size": 4, "vocab_offset": 188},
                "vision_soft_tokens_per_image": row.media["side"]**2, "audio_soft_tokens_per_image": 4,
                "boi_token_id": 176, "eoi_token_id": 184, "image_token_id": 185,
                "boa_token_id": 180, "eoa_token_id": 188, "audio_token_id": 189}
    if row.family == "gemma3":
        return {"vision_config": {"model_type": "siglip_vision_model", "vision_use_head": False, **row.media["vision"]},
                "mm_tokens_per_image": row.media["tokens"],
                "boi_token_index": 176, "eoi_token_index": 177, "image_token_index": 178}
    return {"vision_config": {"model_type": "gemma4_vision", "max_position_embeddings": 64, **row.media["vision"]}}


def layout(row, ids):
    """`ids` with a place for every soft token of each picture, and the type of each position."""
    if row.family == "gemma3n":  # masks of image positions it has none, and the mark behind them is one of the tower's ids
        ids, out = ids.tolist(), []
        step = len(ids) // (row.media["pictures"] + 1)
        for i in range(row.media["pictures"]):
            out += [*ids[i * step:(i + 1) * step], 176, *[185] * row.media["side"]**2, 184]
        return torch.tensor(out + ids[row.media["pictures"] * step:]), None
    side = row.media["vision"].get("pooling_kernel_size", row.media.get("pooled"))
    ids, out, types = ids.tolist(), [], []
    step = len(ids) // (len(row.media["pictures"]) + 1)
    for i, (columns, rows) in enumerate(row.media["pictures"]):
        text, count = ids[i * step:(i + 1) * step], columns * rows // side**2
        out += [*text, 176, *[178] * count, 177]
        types += [0] * (len(text) + 1) + [1] * count + [0]
    text = ids[len(row.media["pictures"]) * step:]
    return torch.tensor(out + text), torch.tensor(types + [0] * len(text))


def inputs(row):
    """Patches in 0 … 1 with their places, padded as the processor pads them."""
    rng = np.random.default_rng([row.seed, 11])
    if row.family == "gemma3n":  # whole pictures, plane by plane, in 0 … 1
        planes = np.round(rng.uniform(0, 255, (row.media["pictures"], 3, *[row.media["pixels"]] * 2))) / np.float32(255)
        return {"pixel_values": torch.from_numpy(planes.astype(np.float32))}
    if row.family == "gemma3":  # whole pictures, plane by plane, in −1 … 1
        side = row.media["vision"]["image_size"]
        planes = np.round(rng.uniform(0, 255, (len(row.media["pictures"]), 3, side, side))) / np.float32(127.5) - 1
        return {"pixel_values": torch.from_numpy(planes.astype(np.float32))}
    width, most = 3 * row.media["vision"]["patch_size"]**2, row.media["padded_patches"]
    pixels, places = [], []
    for columns, rows in row.media["pictures"]:
        patches, at = np.zeros((most, width), np.float32), np.full((most, 2), -1)
        patches[:columns * rows] = np.round(rng.uniform(0, 255, (columns * rows, width))) / np.float32(255)
        at[:columns * rows] = [(x, y) for y in range(rows) for x in range(columns)]
        pixels.append(patches)
        places.append(at)
    return {"pixel_values": torch.from_numpy(np.stack(pixels)), "image_position_ids": torch.from_numpy(np.stack(places))}


def forward(model, ids, types, pictures, dtype=torch.float32):
    tower = model.model.vision_tower
    if hasattr(tower, "timm_model"):
        inside = tower.timm_model
        return media.tapped(model, ids, types, pictures, [
            ("vision.stem", inside.conv_stem, lambda x: x),
            *[(f"vision.block.{s}.{b}", block, lambda x: x) for s, size in enumerate(inside.blocks) for b, block in enumerate(size)],
            ("vision.tower_out", inside.msfa, lambda x: x), ("vision.soft_tokens", media.soft_rows_of(model.model.embed_vision), lambda x: x)], dtype)
    padded = lambda x: x  # noqa: E731
    if "image_position_ids" in pictures:
        padded = media.zero_outside((pictures["image_position_ids"] >= 0).all(-1))
    embedder = getattr(tower, "patch_embedder", None) or tower.embeddings
    into_text = getattr(model.model, "embed_vision", None) or model.model.multi_modal_projector
    return media.tapped(model, ids, types, pictures, [
        ("vision.patch_embed", embedder, padded),
        *[(f"vision.layer.{i}", layer, padded) for i, layer in enumerate(tower.encoder.layers)],
        ("vision.tower_out", tower, lambda x: x), ("vision.soft_tokens", into_text, lambda x: x)], dtype)


def case(row, out, ids, top2, caught, tight, unsuitable, margin_wanted):
    model, wide = reference.load(out), reference.load(out, torch.float64)
    ids, types = layout(row, ids)
    pictures = inputs(row)
    expected = folder.Expected()
    expected.input("input_ids", ids)
    if types is not None:
        expected.input("token_type_ids" if row.family == "gemma3" else "mm_token_type_ids", types)
    if "image_position_ids" in pictures:
        expected.input("image_position_ids", pictures["image_position_ids"])
    media.input_floats(expected, {"pixel_values": pictures["pixel_values"]})
    checks = media.judge(expected, forward, (model, wide), row, out, ids, types, pictures, top2,
                         lambda *of: caught(*of, True), tight, unsuitable, margin_wanted)
    return expected, checks
