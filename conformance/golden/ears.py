"""Sounds through the towers of Gemma 3n and 4: their features, what each stage of it makes of them, and mistakes in those."""

import numpy as np
import torch
import transformers

from . import folder, media, reference

FIRST_IMAGE_ID, FIRST_SOUND_ID = 180, 184  # of Gemma 3n: the ids that its towers embed themselves


def config_of(row):
    if row.family == "gemma3n":
        from timm.models._efficientnet_builder import decode_arch_def
        return {"vision_config": {  # as small as one can be: the reference has no model without
                    "model_type": "gemma3n_vision", "architecture": "mobilenetv5_300m_enc", "hidden_size": 2048, "do_pooling": False,
                    "vocab_size": 4, "vocab_offset": FIRST_IMAGE_ID, "num_classes": 2, "label_names": ["0", "1"],
                    "model_args": {"stem_size": 8, "msfa_output_resolution": 1,
                                   "block_args": decode_arch_def([["er_r1_k3_s2_e1_c8"], ["uir_r1_a0_k3_s2_e1_c8"]])}},
                "audio_config": {"model_type": "gemma3n_audio", "vocab_size": 8, "vocab_offset": FIRST_SOUND_ID,
                                 **row.media["audio"]},
                "vision_soft_tokens_per_image": 1, "audio_soft_tokens_per_image": row.media["places"],
                "boi_token_id": 176, "eoi_token_id": FIRST_IMAGE_ID, "image_token_id": FIRST_IMAGE_ID + 1,
                "boa_token_id": 177, "eoa_token_id": FIRST_SOUND_ID, "audio_token_id": FIRST_SOUND_ID + 1}
    return {"audio_config": {"model_type": "gemma4_audio", **row.media["audio"]}}


def inputs(row):
    """Waveforms, and the reference's features of them, padded together."""
    rng = np.random.default_rng([row.seed, 11])
    sounds = []
    for samples in row.media["clips"]:
        at = np.arange(samples) / 16000
        tones = sum(rng.uniform(0.05, 0.2) * np.sin(2 * np.pi * (f + 3e3 * at) * at) for f in rng.uniform(80, 3000, 3))
        sounds.append((tones + rng.normal(0, 0.05, samples)).astype(np.float32))
    if row.family == "gemma3n":
        extractor = transformers.Gemma3nAudioFeatureExtractor(feature_size=row.media["audio"]["input_feat_size"])
    else:
        extractor = transformers.Gemma4AudioFeatureExtractor(feature_size=row.media["audio"]["subsampling_conv_channels"][0])
    made = extractor(sounds, sampling_rate=16000, return_tensors="pt")
    return sounds, {"input_features": made["input_features"].float(),
                    "input_features_mask": made["input_features_mask"].bool()}


def valid_rows(model, sounds):
    """Which rows behind the convolutions, and which of those that the tower leaves, are of the clip."""
    quarter = sounds["input_features_mask"][:, ::2][:, ::2]
    return quarter, quarter[:, ::getattr(model.config.audio_config, "conf_reduction_factor", 1)]


def layout(row, ids, counts):
    """`ids` with a place for every soft token of each clip, and the type of each position."""
    if row.family == "gemma3n":  # as many places for each clip, and ids say what stands where
        ids, out = ids.tolist(), []
        step = len(ids) // (len(counts) + 1)
        for i in range(len(counts)):
            out += [*ids[i * step:(i + 1) * step], 177, *[FIRST_SOUND_ID + 1] * row.media["places"], FIRST_SOUND_ID]
        return torch.tensor(out + ids[len(counts) * step:]), None
    ids, out, types = ids.tolist(), [], []
    step = len(ids) // (len(counts) + 1)
    for i, count in enumerate(counts):
        text = ids[i * step:(i + 1) * step]
        out += [*text, 180, *[182] * count, 181]
        types += [0] * (len(text) + 1) + [3] * count + [0]
    text = ids[len(counts) * step:]
    return torch.tensor(out + text), torch.tensor(types + [0] * len(text))


def forward(model, ids, types, sounds, dtype=torch.float32):
    tower = model.model.audio_tower
    embedder, layers = model.model.embed_audio, getattr(tower, "layers", None) or tower.conformer
    if hasattr(embedder, "embedding"):
        embedder = media.soft_rows_of(embedder)
    quarter, left = valid_rows(model, sounds)
    padded = media.zero_outside(quarter)
    return media.tapped(model, ids, types, sounds, [
        ("audio.subsample", tower.subsample_conv_projection, padded),
        *[(f"audio.layer.{i}", layer, padded) for i, layer in enumerate(layers)],
        ("audio.tower_out", tower, media.zero_outside(left)),
        ("audio.soft_tokens", embedder, lambda out: out[left] if out.dim() == 3 else out)], dtype)


def case(row, out, ids, top2, caught, tight, unsuitable, margin_wanted):
    model, wide = reference.load(out), reference.load(out, torch.float64)
    waveforms, sounds = inputs(row)
    left = valid_rows(model, sounds)[1]
    ids, types = layout(row, ids, left.sum(-1).tolist())
    expected = folder.Expected()
    expected.input("input_ids", ids)
    if types is not None:
        expected.input("mm_token_type_ids", types)
    else:
        expected.exact("audio.mask", left.to(torch.uint8))
    expected.input("input_features_mask", sounds["input_features_mask"].to(torch.uint8))
    media.input_floats(expected, {**{f"waveform.{i}": torch.from_numpy(w) for i, w in enumerate(waveforms)},
                                  "input_features": sounds["input_features"]})
    checks = media.judge(expected, forward, (model, wide), row, out, ids, types, sounds, top2, caught, tight, unsuitable,
                         margin_wanted)
    return expected, checks
