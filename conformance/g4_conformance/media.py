"""Pictures and sounds that `real` brings: made of formulas, and given as a model takes them.

A picture is as large as its tower wants it, so that no engine has to resize: `image.N` [rows, columns, 3] in 0 … 255, and the
`pixel_values` that follow from it. A sound is `waveform.N`, 16000 samples a second, and its `input_features`.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

RATE = 16000
PICTURE, SOUND = 1, 3  # of mm_token_type_ids


@dataclasses.dataclass
class Media:
    """What stands between the words of a prompt."""

    kind: int
    given: dict[str, np.ndarray]
    counts: list[int]  # positions that each picture or sound takes
    marks: tuple[int, int, int]  # the ids before it, at each of its positions, behind it
    types: str = "mm_token_type_ids"  # the input that says what stands where; Gemma 3n has none
    what: str = ""  # in words

    def laid_into(self, words: list[list[int]]) -> tuple[list[int], list[int]]:
        """A prompt of ids, and the kind of every position; `words` has a piece more than there are media."""
        before, each, behind = self.marks
        ids, kinds = [*words[0]], [0] * len(words[0])
        for count, piece in zip(self.counts, words[1:], strict=True):
            ids += [before, *[each] * count, behind, *piece]
            kinds += [0, *[self.kind] * count, 0, *[0] * len(piece)]
        return ids, kinds


def picture(rows: int, columns: int) -> np.ndarray:
    """[rows, columns, 3] in 0 … 255: a disc before stripes that get finer."""
    y, x = (np.mgrid[0:rows, 0:columns] + 0.5) / np.array([rows, columns])[:, None, None]
    disc = (x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05
    stripes = 0.5 + 0.4 * np.sin(60 * x * x + 9 * y)
    colours = [np.where(disc, 0.9, 0.2 + 0.6 * x), np.where(disc, 0.35, stripes), np.where(disc, 0.1 + 0.3 * y, 0.8 - 0.6 * y)]
    return np.round(255 * np.stack(colours, -1)).astype(np.uint8)


def waveform(seconds: float, lowest: float) -> np.ndarray:
    """[samples] in −1 … 1: three voices that rise, in four strokes, over some noise."""
    at = np.arange(int(seconds * RATE)) / RATE
    voices = sum(0.2 / n * np.sin(2 * np.pi * n * (lowest + 40 * at) * at) for n in (1, 2, 5))
    strokes = 0.3 + 0.7 * np.abs(np.sin(4 * np.pi * at / max(seconds, 1e-9)))
    return (voices * strokes + np.random.default_rng(16).normal(0, 0.01, at.size)).astype(np.float32)


def pictures(config) -> Media | None:
    """For a model with a picture tower. `config` is as transformers reads it, defaults filled in."""
    vision = getattr(config, "vision_config", None)
    if vision is None:
        return None
    marks = (config.boi_token_id, config.image_token_id, config.eoi_token_id)
    if config.model_type in ("gemma3", "gemma3n"):  # one square, plane by plane
        if config.model_type == "gemma3":
            side, count, types = vision.image_size, config.mm_tokens_per_image, "token_type_ids"
        else:  # the tower halves five times and fuses behind four of them: 48 pixels to a soft token
            count = config.vision_soft_tokens_per_image
            side, types = 48 * math.isqrt(count), ""
        image = picture(side, side)
        planes = image.transpose(2, 0, 1)[None].astype(np.float32)
        pixels = planes / np.float32(127.5) - 1 if config.model_type == "gemma3" else planes / np.float32(255)
        return Media(PICTURE, {"image.0": image, "pixel_values": pixels}, [count], marks, types, f"a picture of {side} × {side}")
    return _in_patches(config, vision, marks)


def _in_patches(config, vision, marks) -> Media:
    """Gemma 4: patches with their places. Two pictures, the second one padded to the size of the first."""
    pooled = vision.pooling_kernel_size
    unified = config.model_type == "gemma4_unified"  # its patches are as large as what others pool
    side = vision.patch_size * (pooled if unified else 1)
    places = vision.mm_posemb_size if unified else vision.position_embedding_size
    step = 1 if unified else pooled
    most = max(1, places // step)
    shapes = [(min(7, most), min(10, most)), (min(6, most), min(4, most))]  # rows and columns of soft tokens
    given, pixels, positions = {}, [], []
    for n, (rows, columns) in enumerate(shapes):
        image = picture(rows * step * side, columns * step * side)
        given[f"image.{n}"] = image
        across = columns * step
        patches = image.reshape(rows * step, side, across, side, 3).swapaxes(1, 2).reshape(-1, 3 * side * side)
        pixels.append(patches.astype(np.float32) / np.float32(255))
        positions.append(np.array([(i % across, i // across) for i in range(len(patches))], np.int32))
    longest = max(map(len, pixels))
    given["pixel_values"] = np.stack([np.pad(p, ((0, longest - len(p)), (0, 0))) for p in pixels])
    given["image_position_ids"] = np.stack([np.pad(p, ((0, longest - len(p)), (0, 0)), constant_values=-1) for p in positions])
    sizes = " and ".join(f"{r * step * side} × {c * step * side}" for r, c in shapes)
    return Media(PICTURE, given, [r * c for r, c in shapes], marks, what=f"pictures of {sizes}")


def sounds(config, transformers) -> Media | None:
    """For a model that hears: two clips, the second one padded to the length of the first."""
    audio = getattr(config, "audio_config", None)
    if audio is None:
        return None
    marks = (config.boa_token_id, config.audio_token_id, getattr(config, "eoa_token_id", None) or config.eoa_token_index)
    most = math.inf  # seconds
    if config.model_type == "gemma3n":  # as many places for every clip, a row of four frames of 10 ms, thinned out
        places = config.audio_soft_tokens_per_image
        most = 0.9 * places * 4 * audio.conf_reduction_factor / 100
    clips = [waveform(min(2.5, most), 180), waveform(min(1.2, most / 2), 300)]
    given = {f"waveform.{n}": clip for n, clip in enumerate(clips)}
    if config.model_type == "gemma4_unified":  # samples as they are
        width = audio.audio_embed_dim
        rows = [np.pad(clip, (0, -clip.size % width)).reshape(-1, width) for clip in clips]
        longest = max(map(len, rows))
        given["input_features"] = np.stack([np.pad(r, ((0, longest - len(r)), (0, 0))) for r in rows])
        valid = np.stack([np.arange(longest) < len(r) for r in rows])
        counts = valid.sum(-1)
    else:
        if config.model_type == "gemma3n":
            extractor = transformers.Gemma3nAudioFeatureExtractor(feature_size=audio.input_feat_size)
        else:
            extractor = transformers.Gemma4AudioFeatureExtractor(feature_size=audio.subsampling_conv_channels[0])
        made = extractor(clips, sampling_rate=RATE, return_tensors="np")
        given["input_features"] = np.asarray(made["input_features"], np.float32)
        valid = np.asarray(made["input_features_mask"]).astype(bool)
        counts = valid[:, ::4].sum(-1)  # two convolutions halve the frames
    given["input_features_mask"] = valid.astype(np.uint8)
    length = " and ".join(f"{clip.size / RATE:.1f} s" for clip in clips)
    if config.model_type == "gemma3n":
        return Media(SOUND, given, [places] * len(clips), marks, "", f"sounds of {length}")
    return Media(SOUND, given, [int(n) for n in counts], marks, what=f"sounds of {length}")
