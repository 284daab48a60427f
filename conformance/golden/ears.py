"""Sounds through the tower of Gemma 4: their features, what each stage of it makes of them, and mistakes in those."""

import numpy as np
import torch
import transformers

from . import folder, media, reference


def config_of(row):
    return {"audio_config": {"model_type": "gemma4_audio", **row.media["audio"]}}


def inputs(row):
    """Waveforms, and the reference's features of them, padded together."""
    rng = np.random.default_rng([row.seed, 11])
    sounds = []
    for samples in row.media["clips"]:
        at = np.arange(samples) / 16000
        tones = sum(rng.uniform(0.05, 0.2) * np.sin(2 * np.pi * (f + 3e3 * at) * at) for f in rng.uniform(80, 3000, 3))
        sounds.append((tones + rng.normal(0, 0.05, samples)).astype(np.float32))
    bands = row.media["audio"]["subsampling_conv_channels"][0]
    made = transformers.Gemma4AudioFeatureExtractor(feature_size=bands)(sounds, sampling_rate=16000, return_tensors="pt")
    return sounds, {"input_features": made["input_features"].float(),
                    "input_features_mask": made["input_features_mask"].bool()}


def layout(row, ids, counts):
    """`ids` with a place for every soft token of each clip, and the type of each position."""
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
    valid = sounds["input_features_mask"][:, ::2][:, ::2]
    padded = media.zero_outside(valid)
    return media.tapped(model, ids, types, sounds, [
        ("audio.subsample", tower.subsample_conv_projection, padded),
        *[(f"audio.layer.{i}", layer, padded) for i, layer in enumerate(tower.layers)], ("audio.tower_out", tower, padded),
        ("audio.soft_tokens", model.model.embed_audio, lambda out: out[valid] if out.dim() == 3 else out)], dtype)


def case(row, out, ids, top2, caught, tight, unsuitable, margin_wanted):
    model, wide = reference.load(out), reference.load(out, torch.float64)
    waveforms, sounds = inputs(row)
    counts = sounds["input_features_mask"][:, ::2][:, ::2].sum(-1).tolist()
    ids, types = layout(row, ids, counts)
    expected = folder.Expected()
    expected.input("input_ids", ids)
    expected.input("mm_token_type_ids", types)
    expected.input("input_features_mask", sounds["input_features_mask"].to(torch.uint8))
    media.input_floats(expected, {**{f"waveform.{i}": torch.from_numpy(w) for i, w in enumerate(waveforms)},
                                  "input_features": sounds["input_features"]})
    checks = media.judge(expected, forward, (model, wide), row, out, ids, types, sounds, top2, caught, tight, unsuitable,
                         margin_wanted)
    return expected, checks
