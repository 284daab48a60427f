"""Random weights that make every part of a model matter.

A freshly initialised Gemma has unit norms, unit layer scalars and zero AltUp scales, and a golden made from it cannot
tell a port that forgets them. Here every one of them is drawn away from its neutral value, while the scale of each
matrix keeps activations near one, so that float32 rounding stays small against any real mistake.

Every tensor has its own stream, seeded by the case's seed and the tensor's name: adding a tensor changes no other one.
"""

import zlib

import numpy as np


def _stream(seed, name):
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def draw(name, shape, seed, *, one_plus_weight):
    """One tensor as float32. `one_plus_weight`: norms multiply by 1 + w (Gemma 3), so w is what exceeds one."""
    rng = _stream(seed, name)
    normal = lambda mean, std: rng.normal(mean, std, shape)  # noqa: E731
    leaf = name.removesuffix(".weight").rsplit(".", 1)[-1]

    if leaf in ("q_norm", "k_norm"):
        # Gemma 3 divides the scores by a root, the others do not: the learned norms carry the scale.
        value = normal(1.5, 0.3) - 1 if one_plus_weight else np.clip(normal(0.75, 0.25), 0.2, 1.4)
    elif leaf == "norm" and len(shape) == 1 and "timm_model" not in name:  # the final one: logits large enough for the soft-cap to bend them
        value = np.clip(normal(2.5, 0.5), 1.0, 4.0) - (1 if one_plus_weight else 0)
    elif leaf in ("layer_norm1", "layer_norm2", "post_layernorm"):  # layer norms: no 1 is added to these
        value = normal(1.0, 0.22)
    elif "norm" in leaf:
        value = np.clip(normal(1.0, 0.22), 0.35, 1.65) - (1 if one_plus_weight else 0)
    elif leaf in ("bn", "bn1", "bn2"):  # what timm calls the norms behind convolutions
        value = np.clip(normal(1.0, 0.22), 0.35, 1.65)
    elif leaf == "gamma":
        value = rng.uniform(0.4, 1.0, shape)
    elif leaf == "layer_scalar":
        value = rng.uniform(0.6, 1.1, shape)
    elif leaf == "per_expert_scale":
        value = rng.uniform(0.5, 1.7, shape)
    elif name.endswith("router.scale") or leaf == "correct_output_scale":
        value = normal(1.0, 0.3)
    elif name.endswith("router.proj.weight"):
        value = normal(0, 1.5)  # its input is already divided by the root of the width
    elif leaf == "modality_router":
        value = normal(0, 0.8 * np.sqrt(shape[-1]))  # its input is divided by the width
    elif leaf == "correction_coefs":
        value = normal(0, 0.3)
    elif leaf == "prediction_coefs":
        value = normal(0, 0.22)
    elif leaf in ("input_min", "output_min", "input_max", "output_max"):  # near enough to clip what a map often meets
        value = (-1 if leaf.endswith("min") else 1) * rng.uniform(1.0, 2.0, shape)
    elif leaf == "std_scale":
        value = normal(1.0, 0.3)
    elif leaf == "per_dim_scale":
        value = normal(0.5, 0.7)
    elif leaf in ("conv", "depthwise_conv1d") or (
            len(shape) == 4 and leaf in ("conv_exp", "conv_pwl", "down_conv", "proj")):  # [out, in, …]
        value = normal(0, 1 / np.sqrt(np.prod(shape[1:])))
    elif leaf in ("bias", "std_bias"):
        value = normal(0, 0.3)
    elif leaf in ("gate_proj", "v_proj"):
        value = normal(0, 1.3 / np.sqrt(shape[-1]))
    else:  # embeddings and every other matrix: [out, in], or [experts, out, in]
        value = normal(0, 1 / np.sqrt(shape[-1]))
    return np.asarray(value).astype(np.float32)


def ple_table(name, shape, seed, width):
    """The per-layer table: a row is all layers side by side, so its scale follows the width of one layer."""
    return _stream(seed, name).normal(0, 1 / np.sqrt(width), shape).astype(np.float32)
