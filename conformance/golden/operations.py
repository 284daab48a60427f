"""Cases of one operation each: inputs and what comes of them in float64, and by how much a float32 engine may be off.

    python -m golden.operations [NAME…]          from conformance/, into cases/op-*; needs numpy, gguf and Pillow

An operation is a function of its inputs that gives for every output (y, s): the value, and the sum of the magnitudes that
it is made of. An element of an engine's answer may be off by

    8 · 2⁻²⁴ · s

which is eight roundings of everything that went into it: a few times what any order of float32 operations does to these
sizes, and far below what a mistake does. For a sum of products s is Σ|a||b|. For a function of one number it is |y|, or the
magnitude before a cancellation inside; a function's argument brings its own s through the derivative. `NAME.limit` holds the
limit of every element. Each operation is also run in float32 here, and has to stay within half of its limits; and each of
its mistakes has to leave them by 25 times, or the case is refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Callable

import numpy as np

from . import mobile_blocks
from .about import write_about

_CASES = Path(__file__).parent.parent / "cases"
_EPSILON = 2.0**-24
_ROUNDINGS = 8


@dataclasses.dataclass
class Operation:
    name: str
    content: str
    equation: str
    function: Callable  # (inputs, facts, number type) → {output: (y, s)}
    variants: dict  # name → (facts, inputs)
    mistakes: dict  # name → (variant, function)
    rule: str
    exact: bool = False  # outputs bring their limits as they are, instead of an s


OPERATIONS: list[Operation] = []


def _random(*key) -> np.random.Generator:
    import zlib
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def _normal(shape, *key, scale=1.0):
    return (scale * _random(*key).standard_normal(shape)).astype(np.float32)


def _changed(function, **changes):
    """The function with facts replaced."""
    return lambda x, f, t: function(x, {**f, **changes}, t)


def _inner(x, w):
    """x · wᵀ and Σ|x||w|."""
    return x @ w.T, np.abs(x) @ np.abs(w).T


# ---- Norms -----------------------------------------------------------------------------------------------------------


def rms_norm(x, f, t):
    rows = x["x"]
    factor = 1 / np.sqrt(np.mean(rows * rows, -1, keepdims=True) + t(f["eps"]))
    scale = 1 if f["weight"] == "none" else x["weight"] + (1 if f["weight"] == "1 + w" else 0)
    y = rows * factor * scale
    return {"y": (y, 2 * np.abs(y) + (np.abs(rows * factor) * (np.abs(x["weight"]) + 1) if f["weight"] == "1 + w" else 0))}


_rows = _normal((5, 24), "rms")
_rows[1] *= 1e-3  # where eps counts
_rows[2] *= 1e3
_rows[3] = 0
_weight = _normal((24,), "rms weight", scale=0.5)
OPERATIONS.append(Operation(
    "rms-norm", "the norm of all models in its three flavours; a small row, where eps counts, a large one, and a row of noughts",
    "y = x · (mean(x²) + eps)^(−½) · g,   g = w, 1 + w, or 1", rms_norm,
    {"plain": ({"eps": 1e-6, "weight": "w"}, {"x": _rows, "weight": _weight + 1}),
     "one_plus": ({"eps": 1e-6, "weight": "1 + w"}, {"x": _rows, "weight": _weight}),
     "weightless": ({"eps": 1e-6, "weight": "none"}, {"x": _rows})},
    {"the other flavour": ("plain", _changed(rms_norm, weight="1 + w")),
     "the one dropped": ("one_plus", _changed(rms_norm, weight="w")),
     "eps outside of the root": ("weightless", lambda x, f, t: {"y": (x["x"] / (np.sqrt(np.mean(x["x"]**2, -1, keepdims=True)) + f["eps"]), 0)}),
     "eps of another model": ("plain", _changed(rms_norm, eps=1e-5))},
    "s = 2|y|; with 1 + w, |x̂|·(1 + |w|) more"))


def layer_norm(x, f, t):
    rows = x["x"]
    mean = np.mean(rows, -1, keepdims=True)
    apart = rows - mean
    factor = 1 / np.sqrt(np.mean(apart * apart, -1, keepdims=True) + t(f["eps"]))
    y = apart * factor * x["weight"] + x.get("bias", 0)
    return {"y": (y, (np.abs(rows) + np.mean(np.abs(rows), -1, keepdims=True)) * factor * np.abs(x["weight"]) * 2 + np.abs(x.get("bias", 0)))}


OPERATIONS.append(Operation(
    "layer-norm", "the norm of towers, with and without a bias",
    "y = (x − mean(x)) · (mean((x − mean(x))²) + eps)^(−½) · w + b", layer_norm,
    {"biased": ({"eps": 1e-6}, {"x": _rows[:3] + 1, "weight": _weight + 1, "bias": _normal((24,), "ln bias")}),
     "plain": ({"eps": 1e-6}, {"x": _rows[:3], "weight": _weight + 1})},
    {"the mean kept": ("biased", lambda x, f, t: {"y": (rms_norm({"x": x["x"], "weight": x["weight"]}, {"eps": 1e-6, "weight": "w"}, t)["y"][0] + x["bias"], 0)}),
     "the unbiased variance": ("plain", lambda x, f, t: {"y": (layer_norm(x, f, t)["y"][0] * np.sqrt(23 / 24), 0)})},
    "s = 2·(|x| + mean|x|)·factor·|w| + |b|"))


# ---- Rotary embeddings -----------------------------------------------------------------------------------------------


def _frequencies(f):
    d = f["head_size"]
    frequency = np.zeros(d // 2)
    turned = int(f.get("fraction", 1) * d) // 2  # the other pairs stand still
    frequency[:turned] = f["theta"] ** (-np.arange(0, 2 * turned, 2) / f.get("exponent_over", d)) / f.get("factor", 1)
    return frequency


def _turned(x, angle, t, pairs="halves"):
    """x [T, heads, d] by angles [T, d/2]."""
    cos, sin = np.cos(angle)[:, None].astype(t), np.sin(angle)[:, None].astype(t)
    if pairs == "halves":
        a, b = np.split(x, 2, -1)
    else:
        a, b = x[..., ::2], x[..., 1::2]
    size = (np.abs(a) + np.abs(b)) * (1 + np.abs(angle)[:, None])
    y, s = (a * cos - b * sin, b * cos + a * sin), (size, size)
    if pairs == "halves":
        return np.concatenate(y, -1), np.concatenate(s, -1)
    return np.stack(y, -1).reshape(x.shape), np.stack(s, -1).reshape(x.shape)


def rope(x, f, t):
    frequency = _frequencies(f).astype(t)
    return {"y": _turned(x["x"], x["positions"][:, None].astype(t) * frequency * t(f.get("sign", 1)), t, f.get("pairs", "halves"))}


def rope_by_axes(x, f, t):
    frequency = _frequencies({**f, "head_size": f["head_size"] // 2}).astype(t)
    halves = np.split(x["x"], 2, -1)
    turned = [_turned(half, x["places"][:, axis:axis + 1].astype(t) * frequency, t) for axis, half in zip(f.get("axes", (0, 1)), halves)]
    return {"y": tuple(np.concatenate(part, -1) for part in zip(*turned))}


_at = np.array([0, 1, 2, 7, 60, 500, 1023], np.int32)
_heads = _normal((7, 2, 16), "rope")
_places = np.array([[0, 0], [1, 0], [0, 1], [3, 2], [7, 5], [12, 31], [40, 9]], np.int32)
OPERATIONS.append(Operation(
    "rope", "rotary embeddings of every flavour: local, scaled, proportional; element i turns with element i + d/2",
    "y[i] = x[i]·cos(p·ω_i) − x[i + d/2]·sin(p·ω_i),  y[i + d/2] = x[i + d/2]·cos(p·ω_i) + x[i]·sin(p·ω_i),\n"
    "ω_i = theta^(−2i/d) / factor for the first fraction · d/2 pairs, 0 for the others", rope,
    {"local": ({"theta": 1e4, "head_size": 16}, {"x": _heads, "positions": _at}),
     "global": ({"theta": 1e6, "head_size": 16}, {"x": _heads, "positions": _at}),
     "linear": ({"theta": 1e6, "factor": 8.0, "head_size": 16}, {"x": _heads, "positions": _at}),
     "proportional": ({"theta": 1e6, "fraction": 0.25, "head_size": 16}, {"x": _heads, "positions": _at}),
     "half": ({"theta": 1e6, "fraction": 0.5, "head_size": 16}, {"x": _heads, "positions": _at})},
    {"neighbouring pairs": ("local", _changed(rope, pairs="neighbours")),
     "backwards": ("local", _changed(rope, sign=-1)),
     "the factor dropped": ("linear", _changed(rope, factor=1)),
     "the exponent over the turned part": ("half", _changed(rope, exponent_over=8)),
     "the fraction ignored": ("proportional", _changed(rope, fraction=1)),
     "one position further": ("global", lambda x, f, t: rope({**x, "positions": x["positions"] + 1}, f, t))},
    "s = (|x[i]| + |x[i + d/2]|)·(1 + |angle|): a float32 angle is itself rounded"))
OPERATIONS.append(Operation(
    "rope-by-axes", "rotary embeddings of picture towers: the first half of a head turns by the column, the second by the row",
    "each half of d/2 as in op-rope, ω_i = theta^(−2i/(d/2)), positions the places' columns and rows", rope_by_axes,
    {"tower": ({"theta": 100.0, "head_size": 16}, {"x": _heads, "places": _places})},
    {"axes exchanged": ("tower", _changed(rope_by_axes, axes=(1, 0))),
     "the exponent over the head": ("tower", _changed(rope_by_axes, exponent_over=16))},
    "as op-rope"))


# ---- Attention -------------------------------------------------------------------------------------------------------


def _seen(f, images, T):
    q, k = np.arange(T)[:, None], np.arange(T)[None, :]
    back, ahead = f["back"], f["ahead"]
    sees = (k >= q - back if back >= 0 else k >= 0) & (k <= q + ahead if ahead >= 0 else k < T)
    if images is not None:
        same = (images[:, None] == images[None, :]) & (images[:, None] > 0)
        sees = (sees | same) & (k >= q - back if back >= 0 else k >= 0)
    return sees


def _softmax(z):
    p = np.exp(z - np.max(z, -1, keepdims=True))
    return p / np.sum(p, -1, keepdims=True)


def attention(x, f, t):
    group = x["query"].shape[1] // x["key"].shape[1]
    spread = (lambda a: np.tile(a, (1, group, 1))) if f.get("grouped") == "wrongly" else (lambda a: np.repeat(a, group, 1))
    key, value = spread(x["key"]), spread(x["value"])
    z = np.einsum("qhd,khd->hqk", x["query"], key) * t(f["scale"])
    size = np.einsum("qhd,khd->hqk", np.abs(x["query"]), np.abs(key)) * f["scale"]
    if f["cap"]:
        z = t(f["cap"]) * np.tanh(z / t(f["cap"]))
    sees = _seen(f, x.get("images"), len(x["query"]))
    p = _softmax(np.where(sees, z, t(-np.inf)))
    most = np.max(np.where(sees, size, 0), -1)  # an error of z is one of the weight, relative to it
    s = np.einsum("hqk,khd->qhd", p, np.abs(value)) * (2 + 2 * most.T[..., None])
    return {"y": (np.einsum("hqk,khd->qhd", p, value), s)}


def _qkv(*key):
    return {"query": _normal((13, 4, 8), *key, "q"), "key": _normal((13, 2, 8), *key, "k"), "value": _normal((13, 2, 8), *key, "v")}


_images = np.array([0, 0, 1, 1, 1, 1, 1, 1, 0, 2, 2, 2, 0], np.int32)
_plain = {"scale": 8**-0.5, "cap": 0.0, "back": -1, "ahead": 0}
OPERATIONS.append(Operation(
    "attention", "every mask of the family: causal, sliding, pictures that see themselves, encoders with and without a window; "
    "two query heads per key head; a soft cap",
    "z[q, k] = scale · query[q]·key[k], then cap·tanh(z / cap);  y[q] = Σ_k softmax(z[q])[k] · value[k] over the keys q sees:\n"
    "q − back … q + ahead, −1 meaning no limit, and those of the same picture (`images`, 0 is text), of which `back` cuts the left.\n"
    "Query head h reads key head h / (H / K)", attention,
    {"causal": (_plain, _qkv("causal")),
     "sliding": ({**_plain, "back": 4}, _qkv("sliding")),
     "capped": ({**_plain, "scale": 1.0, "cap": 3.0}, _qkv("capped")),
     "pictures": (_plain, {**_qkv("pictures"), "images": _images}),
     "sliding_pictures": ({**_plain, "back": 4}, {**_qkv("sp"), "images": _images}),
     "encoder": ({**_plain, "ahead": -1}, _qkv("encoder")),
     "sliding_encoder": ({**_plain, "back": 4, "ahead": 4}, _qkv("se"))},
    {"window one longer": ("sliding", _changed(attention, back=5)),
     "window one shorter": ("sliding", _changed(attention, back=3)),
     "window missing": ("sliding", _changed(attention, back=-1)),
     "the cap dropped": ("capped", _changed(attention, cap=0)),
     "heads grouped the other way": ("causal", _changed(attention, grouped="wrongly")),
     "the scale dropped": ("causal", _changed(attention, scale=1.0)),
     "pictures causal": ("pictures", lambda x, f, t: attention({k: v for k, v in x.items() if k != "images"}, f, t)),
     "everything seen": ("pictures", _changed(attention, ahead=-1)),
     "the window does not cut pictures": ("sliding_pictures", _changed(attention, back=-1)),
     "the encoder causal": ("encoder", _changed(attention, ahead=0)),
     "the encoder's edge left out": ("sliding_encoder", _changed(attention, ahead=3))},
    "s = Σ p|value| · (2 + 2·max Σ|query||key|·scale): an error of a score is relative to its weight"))


# ---- Feed-forward ----------------------------------------------------------------------------------------------------


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi).astype(x.dtype) * (x + x.dtype.type(0.044715) * x * x * x)))


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gate(x, f, t):
    g, u = x["gate"], x["up"]
    if f["activation"] == "gelu_tanh":
        return {"y": (_gelu(g) * u, np.abs(g * u) * (1 + np.abs(g)))}
    return {"y": (g * _sigmoid(g) * u, np.abs(g * _sigmoid(g) * u) * (1 + np.abs(g)))}


_wide = np.concatenate([np.linspace(-6, 6, 40), [0, 1e-4, -1e-4, 30, -30]]).astype(np.float32)
OPERATIONS.append(Operation(
    "gate", "the gate of feed-forwards: GELU in its tanh form; and SiLU, as sound towers have it",
    "y = gelu(gate) · up,   gelu(x) = ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)));   silu(x) = x / (1 + e^(−x))", gate,
    {"gelu": ({"activation": "gelu_tanh"}, {"gate": _wide, "up": _normal(_wide.shape, "up")}),
     "silu": ({"activation": "silu"}, {"gate": _wide, "up": np.ones_like(_wide)})},
    {"gelu by erf": ("gelu", lambda x, f, t: {"y": (np.array([0.5 * g * (1 + math.erf(g / 2**0.5)) for g in x["gate"]]) * x["up"], 0)}),
     "gelu by its sigmoid": ("gelu", lambda x, f, t: {"y": (x["gate"] * _sigmoid(1.702 * x["gate"]) * x["up"], 0)}),
     "gate and up exchanged": ("gelu", lambda x, f, t: gate({"gate": x["up"], "up": x["gate"]}, f, t)),
     "gelu for silu": ("silu", _changed(gate, activation="gelu_tanh"))},
    "s = |gate·up|·(1 + |gate|): 1 + tanh cancels where the gate is shut"))


def sparsity(x, f, t):
    rows = x["x"]
    mean = np.mean(rows, -1, keepdims=True)
    deviation = np.sqrt(np.sum((rows - mean) ** 2, -1, keepdims=True) / t(rows.shape[-1] - f.get("less", 0)))
    cutoff = mean + t(f["z"]) * deviation
    s = np.abs(rows) + np.mean(np.abs(rows), -1, keepdims=True) + abs(f["z"]) * deviation
    return {"y": (np.maximum(rows - cutoff, 0), s)}


OPERATIONS.append(Operation(
    "sparsity", "the activation sparsity of Gemma 3n's first layers; z is the normal quantile of the share that is dropped",
    "y = max(x − (mean(x) + z·std(x)), 0),   std divides by n", sparsity,
    {"p95": ({"z": 1.6448536269514722, "share": 0.95}, {"x": _normal((4, 64), "sparse")}),
     "p50": ({"z": 0.0, "share": 0.5}, {"x": _normal((2, 64), "sparse half")})},
    {"the unbiased deviation": ("p95", _changed(sparsity, less=1)),
     "nothing taken away": ("p95", lambda x, f, t: {"y": (np.where(sparsity(x, f, t)["y"][0] > 0, x["x"], 0), 0)}),
     "the other tail": ("p95", _changed(sparsity, z=-1.6448536269514722))},
    "s = |x| + mean|x| + |z|·std(x)"))


def routing(x, f, t):
    p = _softmax(x["logits"])
    order = np.argsort(-p, -1, kind="stable")[:, : f["chosen"]]
    chosen = np.take_along_axis(p, order, -1)
    weight = chosen / (chosen.sum(-1, keepdims=True) if f.get("again", True) else 1)
    weight = weight * (x["expert_scale"][order] if f.get("scaled", True) else 1)
    largest = np.max(np.abs(x["logits"]), -1, keepdims=True)
    return {"index": (order.astype(np.int32), None), "weight": (weight, np.abs(weight) * (2 + 2 * largest))}


OPERATIONS.append(Operation(
    "routing", "from a router's logits to the chosen experts, descending, and their weights",
    "p = softmax(logits) over all experts;  weight = p[chosen] / Σ p[chosen] · expert_scale[chosen]", routing,
    {"eight_of_sixteen": ({"chosen": 8}, {"logits": _normal((5, 16), "router", scale=2), "expert_scale": 1 + _normal((16,), "es", scale=0.3)}),
     "two_of_five": ({"chosen": 2}, {"logits": _normal((3, 5), "router 2"), "expert_scale": 1 + _normal((5,), "es 2", scale=0.3)})},
    {"weights not renormalised": ("eight_of_sixteen", _changed(routing, again=False)),
     "the experts' scale dropped": ("two_of_five", _changed(routing, scaled=False))},
    "s = |weight|·(2 + 2·max|logits|)"))


def experts(x, f, t):
    y, s = np.zeros_like(x["z"]), np.zeros(x["z"].shape)
    hidden = x["down"].shape[-1]
    for row in range(len(x["z"])):
        for weight, e in zip(x["weight"][row], x["index"][row]):
            both, size = _inner(x["z"][row], x["gate_up"][e])
            gate_half, up_half = (both[hidden:], both[:hidden]) if f.get("exchanged") else (both[:hidden], both[hidden:])
            inner = _gelu(gate_half) * up_half
            inner_size = size[:hidden] * (1 + np.abs(gate_half)) * np.abs(up_half) + np.abs(gate_half) * size[hidden:] + np.abs(gate_half * up_half)
            y[row] += weight * (x["down"][e] @ inner)
            s[row] += np.abs(weight) * (np.abs(x["down"][e]) @ inner_size)
    return {"y": (y, s)}


_choice = np.array([[0, 2], [3, 1], [2, 3]], np.int32)
OPERATIONS.append(Operation(
    "experts", "the experts of a mixture, once they are chosen: gate above up in one matrix",
    "y[t] = Σ_j weight[t, j] · down_e · (gelu(gate_e·z[t]) ∘ up_e·z[t]),   e = index[t, j]", experts,
    {"two_of_four": ({}, {"z": _normal((3, 8), "z"), "index": _choice, "weight": np.abs(_normal((3, 2), "ew")),
                          "gate_up": _normal((4, 12, 8), "gu", scale=8**-0.5), "down": _normal((4, 8, 6), "down", scale=6**-0.5)})},
    {"gate and up exchanged": ("two_of_four", _changed(experts, exchanged=True)),
     "the next expert": ("two_of_four", lambda x, f, t: experts({**x, "index": (x["index"] + 1) % 4}, f, t))},
    "s = Σ_j weight·|down|·(the sizes of gate and up through the gate's derivative)"))


# ---- Gemma 3n: streams, and per-layer inputs -------------------------------------------------------------------------


def altup(x, f, t):
    h, r, c, a = x["h"], x["mix"], x["correct"], f["active"]
    if f.get("turned"):
        r = np.swapaxes(r, 1, 2)
    p = h + np.einsum("tji,tid->tjd", r, h)
    size = np.abs(h) + np.einsum("tji,tid->tjd", np.abs(r), np.abs(h))
    innovation = x["layer"] - p[:, a]
    corrected = p + innovation[:, None] * (c[..., None] + t(f.get("plus", 1)))
    grown = size + (np.abs(x["layer"]) + size[:, a])[:, None] * (np.abs(c)[..., None] + 1)
    return {"predicted": (p, size), "corrected": (corrected, grown)}


OPERATIONS.append(Operation(
    "altup", "alternating updates of Gemma 3n: all streams predicted from all, then corrected by what the layer made of one",
    "predicted[t, j] = h[t, j] + Σ_i mix[t, j, i]·h[t, i];\n"
    "corrected[t, j] = predicted[t, j] + (layer[t] − predicted[t, active])·(correct[t, j] + 1)", altup,
    {"four_streams": ({"active": 0}, {"h": _normal((3, 4, 8), "h"), "mix": _normal((3, 4, 4), "mix", scale=0.5),
                                      "layer": _normal((3, 8), "layer"), "correct": _normal((3, 4), "correct", scale=0.5)}),
     "active_second": ({"active": 1}, {"h": _normal((2, 3, 8), "h2"), "mix": _normal((2, 3, 3), "mix2", scale=0.5),
                                       "layer": _normal((2, 8), "layer2"), "correct": _normal((2, 3), "correct2", scale=0.5)})},
    {"the one dropped": ("four_streams", _changed(altup, plus=0)),
     "the mix turned": ("four_streams", _changed(altup, turned=True)),
     "another stream active": ("active_second", _changed(altup, active=0))},
    "s = the sum of magnitudes of all terms"))


def magnitude(x, f, t):
    rows, model = x["x"], x["model"]
    mean = np.mean(rows * rows, -1, keepdims=True)
    y = rows * np.sqrt(np.mean(model * model, -1, keepdims=True)) / np.sqrt(np.maximum(mean, t(f["floor"])))
    return {"y": (y, 3 * np.abs(y))}


_small = _normal((4, 8), "magnitude")
_small[2] *= 1e-4  # beneath the floor
OPERATIONS.append(Operation(
    "stream-magnitude", "Gemma 3n's streams get the magnitude of the first, before the layers and after them",
    "y = x · √mean(model²) / √max(mean(x²), floor)", magnitude,
    {"streams": ({"floor": 1e-5}, {"x": _small, "model": _normal((4, 8), "model", scale=3)})},
    {"no floor": ("streams", _changed(magnitude, floor=0)),
     "the ratio of squares": ("streams", lambda x, f, t: {"y": (magnitude(x, f, t)["y"][0] ** 2 / x["x"], 0)})},
    "s = 3|y|"))


def laurel(x, f, t):
    low, low_size = _inner(x["x"], x["left"])
    y, size = low @ x["right"].T, low_size @ np.abs(x["right"]).T
    normed = rms_norm({"x": y, "weight": x["norm"]}, {"eps": f["eps"], "weight": "w"}, t)["y"][0]
    factor = np.abs(x["norm"]) / np.sqrt(np.mean(y * y, -1, keepdims=True) + f["eps"])
    s = np.abs(x["x"]) + factor * size + np.abs(normed) * (2 + np.sqrt(np.mean(size * size, -1, keepdims=True) / np.mean(y * y, -1, keepdims=True)))
    return {"y": (normed + (x["x"] if f.get("residual", True) else 0), s)}


OPERATIONS.append(Operation(
    "laurel", "the learned augmented residual of Gemma 3n: a map of low rank beside the layer, its own residual included",
    "y = x + rms_norm(right·left·x, eps) · norm", laurel,
    {"rank_four": ({"eps": 1e-6}, {"x": _normal((3, 12), "lx"), "left": _normal((4, 12), "ll", scale=12**-0.5),
                                   "right": _normal((12, 4), "lr", scale=0.5), "norm": 1 + _normal((12,), "ln", scale=0.2)})},
    {"no residual": ("rank_four", _changed(laurel, residual=False)),
     "the norm dropped": ("rank_four", lambda x, f, t: {"y": (x["x"] + x["x"] @ x["left"].T @ x["right"].T, 0)})},
    "s = |x| + the size of right·left·x through the norm"))


def per_layer_inputs(x, f, t):
    T, L, P = len(x["ids"]), f["layers"], f["width"]
    projected, size = _inner(x["embed"], x["projection"])
    projected, size = projected * t(f["embed_width"] ** -0.5), size * f["embed_width"] ** -0.5
    projected, size = projected.reshape(T, L, P), size.reshape(T, L, P)
    normed = rms_norm({"x": projected, "weight": x["norm"]}, {"eps": f["eps"], "weight": "w"}, t)["y"][0]
    rows = x["table"][x["ids"]].reshape(T, L, P) * t(np.sqrt(P) if f.get("scaled", True) else 1)
    factor = np.abs(x["norm"]) / np.sqrt(np.mean(projected**2, -1, keepdims=True) + f["eps"])
    grown = np.sqrt(np.mean(size * size, -1, keepdims=True) / np.mean(projected**2, -1, keepdims=True))
    s = (factor * size + np.abs(normed) * (2 + grown) + np.abs(rows)) * 2**-0.5
    return {"y": ((normed + rows) * t(f.get("factor", 2**-0.5)), s)}


OPERATIONS.append(Operation(
    "per-layer-inputs", "per-layer embeddings of Gemma 3n and 4: a projection of the embedding and a row of a table, averaged",
    "y[t, l] = (rms_norm(projection_l·embed[t] / √D, eps)·norm + √P · table[id_t]_l) / √2", per_layer_inputs,
    {"two_layers": ({"layers": 2, "width": 6, "embed_width": 10, "eps": 1e-6},
                    {"ids": np.array([3, 0, 6], np.int32), "embed": _normal((3, 10), "pe", scale=3), "projection": _normal((12, 10), "pp"),
                     "norm": 1 + _normal((6,), "pn", scale=0.2), "table": _normal((7, 12), "pt", scale=0.4)})},
    {"the table unscaled": ("two_layers", _changed(per_layer_inputs, scaled=False)),
     "the sum unscaled": ("two_layers", _changed(per_layer_inputs, factor=1.0))},
    "s = the magnitudes of both terms, the projection's through the norm"))


# ---- Heads and sampling ----------------------------------------------------------------------------------------------


def soft_cap(x, f, t):
    y = t(f["cap"]) * np.tanh(x["x"] / t(f["cap"]))
    return {"y": (y, 2 * np.abs(y))}


OPERATIONS.append(Operation(
    "logits-cap", "the soft cap of logits", "y = cap · tanh(x / cap)", soft_cap,
    {"thirty": ({"cap": 30.0}, {"x": np.concatenate([np.linspace(-100, 100, 41), [1e-3, 1e4]]).astype(np.float32)})},
    {"a hard cap": ("thirty", lambda x, f, t: {"y": (np.clip(x["x"], -30, 30), 0)}),
     "no cap": ("thirty", lambda x, f, t: {"y": (x["x"], 0)})},
    "s = 2|y|"))


def sampling(x, f, t):
    """Probabilities after every step, in the order of ids; what was dropped has 0."""
    logits = x["logits"].astype(np.float64)
    if "accepted" in x:
        for i in set(x["accepted"].tolist()):
            logits[i] = logits[i] * f["penalty"] if logits[i] < 0 else logits[i] / f["penalty"]
    z = logits / f["temperature"]
    order = np.argsort(-z, kind="stable")
    if f["top_k"]:
        order = order[: f["top_k"]]
    p = _softmax(z[order])
    if f["top_p"] < 1:
        before = np.cumsum(p) - p
        order = order[before < f["top_p"]]
        p = _softmax(z[order])
    if f["min_p"] > 0:
        order = order[p >= f["min_p"] * p[0]]
        p = _softmax(z[order])
    out = np.zeros(len(logits))
    out[order] = p
    size = 2 + 2 * np.max(np.abs(z))
    return {"probability": (out, out * size), "kept": (order.astype(np.int32), None)}


_pick = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
_logits = _normal((32,), "logits", scale=2)
_tied = _logits.copy()
_tied[[3, 9, 20]] = 2.5
OPERATIONS.append(Operation(
    "sampling", "from logits to the candidates that may be drawn, likeliest first, and their probabilities",
    "in this order: repetition penalty (positive logits divided, negative multiplied), temperature, the k likeliest (of equals the lower\n"
    "ids), those before which less than top_p lies, those with at least min_p of the first; each step on what the last one left", sampling,
    {"temperature": ({**_pick, "temperature": 0.7}, {"logits": _logits}),
     "top_k": ({**_pick, "top_k": 5}, {"logits": _tied}),
     "top_p": ({**_pick, "top_p": 0.8}, {"logits": _logits}),
     "min_p": ({**_pick, "min_p": 0.2}, {"logits": _logits}),
     "all": ({"temperature": 0.8, "top_k": 12, "top_p": 0.9, "min_p": 0.1}, {"logits": _logits}),
     "penalty": ({**_pick, "penalty": 1.3}, {"logits": _logits, "accepted": np.array([1, 4, 4, 30], np.int32)})},
    {"top p before the temperature": ("all", lambda x, f, t: sampling({"logits": x["logits"]}, {**f, "temperature": 1.0}, t)),
     "the penalty divides all": ("penalty", lambda x, f, t: sampling({"logits": np.where(np.isin(np.arange(32), x["accepted"]), x["logits"] / 1.3, x["logits"])}, f, t)),
     "the penalty for every time": ("penalty", lambda x, f, t: sampling({"logits": x["logits"] / np.where(np.arange(32) == 4, 1.3, 1), "accepted": x["accepted"]}, f, t))},
    "s = p·(2 + 2·max|z|)"))


# ---- Towers ----------------------------------------------------------------------------------------------------------


def subsampling(x, f, t):
    """x [T, bands, channels] by kernels [out, channels, 3, 3], step 2, one nought around."""
    side, step = 3, f["step"]
    padded = np.pad(x["x"], ((1, 1), (1, 1), (0, 0)))
    rows, columns = ((n + 2 - side) // step + 1 for n in x["x"].shape[:2])
    y, s = (np.zeros((rows, columns, len(x["kernel"])), x["x"].dtype) for _ in range(2))
    kernel = x["kernel"].swapaxes(2, 3) if f.get("turned") else x["kernel"]
    for i in range(rows):
        for j in range(columns):
            square = padded[i * step : i * step + side, j * step : j * step + side]  # [3, 3, channels]
            y[i, j] = np.einsum("abc,ocab->o", square, kernel)
            s[i, j] = np.einsum("abc,ocab->o", np.abs(square), np.abs(kernel))
    return {"y": (y, s)}


OPERATIONS.append(Operation(
    "subsampling", "the convolution of Gemma 4's sound tower that halves frames and bands: 3 × 3, noughts around",
    "y[i, j, o] = Σ_{a, b, c} kernel[o, c, a, b] · x[2i + a − 1, 2j + b − 1, c]", subsampling,
    {"first": ({"step": 2}, {"x": _normal((7, 6, 1), "sub"), "kernel": _normal((4, 1, 3, 3), "sk", scale=1 / 3)}),
     "second": ({"step": 2}, {"x": _normal((5, 4, 3), "sub2"), "kernel": _normal((2, 3, 3, 3), "sk2", scale=0.2)})},
    {"kernel turned": ("second", _changed(subsampling, turned=True))},
    "s = Σ|kernel||x|"))


def convolution_back(x, f, t):
    rows, kernel = x["x"], x["kernel"]
    side = kernel.shape[1]
    padded = np.pad(rows, ((side // 2, side // 2) if f.get("centred") else (side - 1, 0), (0, 0)))
    windows = np.stack([padded[i : i + len(rows)] for i in range(side)], -1)  # [T, D, side]
    return {"y": (np.sum(windows * kernel, -1), np.sum(np.abs(windows * kernel), -1))}


OPERATIONS.append(Operation(
    "convolution-back", "the conformer's convolution: every channel by itself, looking back only",
    "y[t, i] = Σ_j kernel[i, j] · x[t − (side − 1) + j, i]", convolution_back,
    {"five": ({}, {"x": _normal((9, 6), "cb"), "kernel": _normal((6, 5), "ck", scale=0.5)})},
    {"looking ahead": ("five", _changed(convolution_back, centred=True)),
     "kernel turned": ("five", lambda x, f, t: convolution_back({**x, "kernel": x["kernel"][:, ::-1]}, f, t))},
    "s = Σ|kernel||x|"))


def glu(x, f, t):
    a, b = np.split(x["x"], 2, -1)
    if f.get("gate_first"):
        a, b = b, a
    y = a * _sigmoid(b)
    return {"y": (y, np.abs(y) * (2 + np.abs(b)))}


OPERATIONS.append(Operation(
    "glu", "the conformer's gated linear unit: the second half of a row is the gate of the first",
    "y[t, i] = x[t, i] / (1 + e^(−x[t, D + i]))", glu,
    {"rows": ({}, {"x": _normal((4, 12), "glu", scale=2)})},
    {"gate first": ("rows", _changed(glu, gate_first=True))}, "s = |y|·(2 + |gate|)"))


def near_attention(x, f, t):
    q = x["query"] * t(f["query_scale"]) * np.log1p(np.exp(x["per_number"]))
    k = x["key"] * t(f["key_scale"])
    T, H, d = q.shape
    y, s = np.zeros_like(q), np.zeros(q.shape)
    for row in range(T):
        keys = np.arange(max(0, row + 1 - f["past"]), min(T, row + max(f["ahead"], 1)))
        for h in range(H):
            z, size = np.zeros(len(keys), q.dtype), np.zeros(len(keys))
            for i, key in enumerate(keys):
                z[i], size[i] = q[row, h] @ k[key, h], np.abs(q[row, h]) @ np.abs(k[key, h])
                j = f["past"] + key - row if f.get("from") != "the other end" else f["past"] - (key - row) - 2
                if 0 <= j < len(x["distance"]):
                    z[i] += q[row, h] @ x["distance"][j, h]
                    size[i] += np.abs(q[row, h]) @ np.abs(x["distance"][j, h])
            if f["cap"]:
                z = t(f["cap"]) * np.tanh(z / t(f["cap"]))
            p = _softmax(z)
            y[row, h] = p @ x["value"][keys, h]
            s[row, h] = (p @ np.abs(x["value"][keys, h])) * (2 + 4 * np.max(size))
    return {"y": (y, s)}


_near = {k: _normal((9, 2, 4), "near", k) for k in ("query", "key", "value")}
OPERATIONS.append(Operation(
    "near-attention", "the conformer's attention among neighbours, with a term by distance and a cap on the scores",
    "q' = q·query_scale·softplus(per_number), k' = k·key_scale, z[t, s] = cap·tanh((q'[t]·k'[s] + q'[t]·distance[past − (t − s)]) / cap),\n"
    "y[t] = Σ_s softmax(z[t])[s]·v[s] over 0 ≤ t − s < past and 0 < s − t < ahead; a distance that is not there adds nothing", near_attention,
    {"behind_and_ahead": ({"past": 4, "ahead": 2, "query_scale": 0.7, "key_scale": 1.3, "cap": 5.0},
                          {**_near, "distance": _normal((5, 2, 4), "nd"), "per_number": _normal((4,), "np")}),
     "behind": ({"past": 3, "ahead": 0, "query_scale": 0.7, "key_scale": 1.3, "cap": 5.0},
                {**_near, "distance": _normal((4, 2, 4), "nd2"), "per_number": _normal((4,), "np2")})},
    {"one further": ("behind", _changed(near_attention, past=4)),
     "the keys unscaled": ("behind_and_ahead", _changed(near_attention, key_scale=1.0)),
     "no cap": ("behind_and_ahead", _changed(near_attention, cap=0)),
     "distances from the other end": ("behind_and_ahead", _changed(near_attention, **{"from": "the other end"})),
     "nothing ahead": ("behind_and_ahead", _changed(near_attention, ahead=0))},
    "s = Σ p|v| · (2 + 4·max Σ|q'|(|k'| + |distance|))"))


def log_mel(x, f, t):
    """In float64 whatever t is: the reference's extractor computes so."""
    samples, n, step, fft = x["samples"].astype(np.float64), f["window"], f["step"], f["fft"]
    behind = n - n // 2
    frames = 0 if len(samples) <= behind else (len(samples) - behind - 1) // step + 1
    padded = np.concatenate([np.zeros(n // 2), samples, np.zeros(n)])
    divisor = n - 1 if f.get("hann") == "symmetric" else n
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / divisor)).astype(np.float32).astype(np.float64)
    power = np.stack([np.abs(np.fft.rfft(padded[i * step : i * step + n] * hann, fft)) for i in range(frames)]) ** f.get("power", 1)
    mel = lambda hz: 2595 * np.log10(1 + hz / 700)
    corner = 700 * (10 ** (np.linspace(mel(0), mel(f["rate"] / 2), f["bins"] + 2) / 2595) - 1)
    line = np.arange(fft // 2 + 1) * f["rate"] / fft
    rising = (line[:, None] - corner[:-2]) / (corner[1:-1] - corner[:-2])
    falling = (corner[2:] - line[:, None]) / (corner[2:] - corner[1:-1])
    y = np.log(power @ np.maximum(0, np.minimum(rising, falling)) + f["floor"])
    return {"y": (y, np.full(y.shape, 2e-4))}


_tone = np.sin(np.arange(1200) * 0.21).astype(np.float32) * 0.4 + _normal((1200,), "noise", scale=0.02)
OPERATIONS.append(Operation(
    "log-mel", "from samples to the bands that Gemma 4's sound tower reads; the settings of the released extractor with fewer bands",
    "frame t is samples [step·t − window/2, step·t + window/2), noughts before the sound; y = log(Σ_k |X_k|·triangle_b(k) + floor),\n"
    "a Hann window that repeats, triangles evenly on the mel scale 2595·log10(1 + f/700); a frame counts when its samples and one more are there",
    log_mel, {"tone": ({"window": 320, "step": 160, "fft": 512, "rate": 16000, "bins": 24, "floor": 0.001}, {"samples": _tone})},
    {"a symmetric window": ("tone", _changed(log_mel, hann="symmetric")),
     "power for magnitude": ("tone", _changed(log_mel, power=2)),
     "another floor": ("tone", _changed(log_mel, floor=1e-5))},
    "2e-4 throughout, as in the sound cases: a frequency transform in float32 is good for that", exact=True))


def resize(x, f, t):
    from PIL import Image
    how = {"cubic": Image.Resampling.BICUBIC, "triangle": Image.Resampling.BILINEAR, "nearest": Image.Resampling.NEAREST}[f["filter"]]
    picture = Image.fromarray(x["picture"])
    y = np.asarray(picture.resize((f["columns"], f["rows"]), how, reducing_gap=None)).astype(np.float64)
    return {"y": (y, np.full(y.shape, 2.0 if f["filter"] == "cubic" else 1.0))}


_picture = np.clip(128 + 60 * np.sin(np.add.outer(np.arange(19) * 0.7, np.arange(23) * 0.4))[..., None] * [1, -0.6, 0.3]
                   + _random("picture").normal(0, 25, (19, 23, 3)), 0, 255).astype(np.uint8)
OPERATIONS.append(Operation(
    "resize", "pictures resized without aliases, up and down: a cubic for Gemma 4, a triangle for Gemma 3",
    "y[i] = Σ_p w_i(p)·x[p], w_i(p) ∝ f((p + ½ − (i + ½)·s) / max(s, 1)), s = old size / new size, f Keys' cubic with a = −½, or a triangle;\n"
    "columns, then rows, each rounded to 8 bits", resize,
    {"down": ({"filter": "cubic", "rows": 8, "columns": 10}, {"picture": _picture}),
     "up": ({"filter": "cubic", "rows": 31, "columns": 29}, {"picture": _picture}),
     "down_triangle": ({"filter": "triangle", "rows": 8, "columns": 10}, {"picture": _picture})},
    {"no smoothing": ("down", _changed(resize, filter="nearest"))},
    "2 of 255 for the cubic, 1 for the triangle: ways of rounding in between differ by as much", exact=True))


# ---- MobileNetV5's blocks --------------------------------------------------------------------------------------------

_blocks = mobile_blocks.variants(_normal)  # python -m golden.mobile_blocks holds them against timm's modules
_SIZES = "s from stage to stage (golden/mobile_blocks.py): Σ|w|·s of sums, |w|·factor·s + |y|·(2 + √mean s²/√mean x²) of norms, 1.13·s + |x| of GELUs"
OPERATIONS.append(Operation(
    "edge-residual", "MobileNetV5's edge residual: a whole convolution that widens, a map that narrows; with and without what it is given",
    "y = x + norm(narrow · gelu(norm(conv(x)))), without x where the plane is halved or its channels change; x [rows, columns, channels],\n"
    "norm over channels, eps 1e-6, weight w; margins as \"SAME\": ⌈n / stride⌉ places, and where a margin is odd the one more is behind", mobile_blocks.edge_residual,
    _blocks["edge-residual"],
    {"the residual dropped": ("added", _changed(mobile_blocks.edge_residual, added=False)),
     "the gelu dropped": ("added", _changed(mobile_blocks.edge_residual, no_gelu=True)),
     "a gelu behind the second norm": ("halved", _changed(mobile_blocks.edge_residual, gelu_behind=True)),
     "kernel turned": ("halved", _changed(mobile_blocks.edge_residual, turned=True)),
     "the odd margin in front": ("halved", _changed(mobile_blocks.edge_residual, in_front=True))},
    _SIZES))
OPERATIONS.append(Operation(
    "inverted-residual", "MobileNetV5's universal inverted residual: convolutions of each channel by itself at the start, in the middle, or nowhere",
    "y = x + γ ∘ norm(narrow · m),  m = gelu(norm(middle(gelu(norm(widen · norm(start(x))))))), without what has no weights here; the middle\n"
    "halves the plane, where there is none the start; without x as in op-edge-residual", mobile_blocks.inverted_residual,
    _blocks["inverted-residual"],
    {"the residual dropped": ("maps_alone", _changed(mobile_blocks.inverted_residual, added=False)),
     "gamma dropped": ("at_the_start", _changed(mobile_blocks.inverted_residual, scaled=False)),
     "gamma dropped where nothing is added": ("halved", _changed(mobile_blocks.inverted_residual, scaled=False)),
     "a gelu at the start": ("at_the_start", _changed(mobile_blocks.inverted_residual, gelu_at_the_start=True)),
     "no gelu in the middle": ("halved", _changed(mobile_blocks.inverted_residual, no_gelu_in_the_middle=True)),
     "halved at the start": ("halved", _changed(mobile_blocks.inverted_residual, halves_first=True))},
    _SIZES))
OPERATIONS.append(Operation(
    "mobile-attention", "MobileNetV5's multi-query attention over all places; keys and values of every place, or of thinned out ones",
    "z = norm(x);  y = x + γ ∘ output · Σ_s softmax(query(z)[t]·key[s] / √d)[s] · value[s], all heads of one key and value, which are maps\n"
    "of z, or with key_stride of norm(conv(z)), each channel by itself", mobile_blocks.mobile_attention,
    _blocks["mobile-attention"],
    {"scores unscaled": ("every_place", _changed(mobile_blocks.mobile_attention, scale=1.0)),
     "values as keys": ("every_place", _changed(mobile_blocks.mobile_attention, values_as_keys=True)),
     "causal": ("every_place", _changed(mobile_blocks.mobile_attention, causal=True)),
     "gamma dropped": ("thinned_out", _changed(mobile_blocks.mobile_attention, scaled=False)),
     "keys of every place": ("thinned_out", _changed(mobile_blocks.mobile_attention, every_place=True))},
    _SIZES + "; of attention Σ p·s + Σ p|value|·(2 + 2·max Σ(s_q|k| + |q|s_k)/√d)"))
OPERATIONS.append(Operation(
    "multi-scale-fusion", "MobileNetV5's end: two planes beside each other, the smaller one drawn to the size of the larger",
    "z = norm(narrow · gelu(norm(widen · (large, small drawn))));  y = norm(mean of the squares of z that leave side × side places);\n"
    "drawn: place i of n shows place ⌊i·m/n⌋ of m", mobile_blocks.multi_scale_fusion,
    _blocks["multi-scale-fusion"],
    {"drawn column by column": ("halved", _changed(mobile_blocks.multi_scale_fusion, turned=True)),
     "the planes exchanged": ("halved", lambda x, f, t: mobile_blocks.multi_scale_fusion(x, {**f, "exchanged": True}, t)),
     "one place for a square": ("odd", _changed(mobile_blocks.multi_scale_fusion, picked=True)),
     "not normed behind": ("odd", _changed(mobile_blocks.multi_scale_fusion, normed=False))},
    _SIZES))


# ---- Storages --------------------------------------------------------------------------------------------------------

_SCALES = {"F32": [], "F16": [], "BF16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2],
           "Q6_K": [208], "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": []}  # where half floats lie


def _storages():
    from gguf import GGMLQuantizationType, quants
    from gguf.constants import GGML_QUANT_SIZES

    def dequantise(x, f, t):
        kind = GGMLQuantizationType[f["storage"]]
        rows = x["blocks"]
        y = rows.view(np.float32) if f["storage"] == "F32" else quants.dequantize(rows, kind)
        y = y.astype(np.float64).reshape(len(rows), -1)
        return {"y": (y, np.broadcast_to(2.0**-23 * np.max(np.abs(y), -1, keepdims=True), y.shape))}

    variants = {}
    for name, scales in _SCALES.items():
        elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
        random = _random("blocks", name)
        blocks = random.integers(0, 256, (3, size * (1 if elements > 1 else 16)), dtype=np.uint8)
        for at in scales:  # half floats of an ordinary size; every other bit may be anything
            blocks[:, at : at + 2] = random.uniform(0.5, 2, (3, 1)).astype(np.float16).view(np.uint8)
        if name == "MXFP4":
            blocks[:, 0] = [120, 127, 1]
        elif not scales:
            blocks.reshape(3, -1, size)[..., -1] &= 0xBF  # finite
        variants[name.lower()] = ({"storage": name, "block_elements": elements, "block_bytes": size}, {"blocks": blocks})

    def nibbles_exchanged(x, f, t):
        blocks = x["blocks"].copy()
        blocks[:, 4:] = blocks[:, 4:] << 4 | blocks[:, 4:] >> 4
        return dequantise({"blocks": blocks}, f, t)

    OPERATIONS.append(Operation(
        "dequantise", "what the blocks of every storage in GGUF files stand for; any bits, one block a row",
        "docs/formats.md has the layouts; the oracle is the gguf package", dequantise, variants,
        {f"nibbles exchanged in {name}": (name, nibbles_exchanged) for name in ("q4_0", "q4_k", "iq4_nl", "mxfp4")},
        "2⁻²³ of the row's largest number: products are exact, and what adds a minimum rounds once", exact=True))


# ---- Writing ---------------------------------------------------------------------------------------------------------


def _limit(op: Operation, s):
    return s if op.exact else _ROUNDINGS * _EPSILON * np.asarray(s) + 2.0**-126


def _ratio(found, expected, limit) -> float:
    error = np.abs(np.asarray(found, np.float64) - expected)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.nanmax(np.where(error == 0, 0, error / limit)))


def make(op: Operation) -> dict:
    as_type = lambda inputs, t: {k: v.astype(t) if v.dtype.kind == "f" else v for k, v in inputs.items()}
    about = {"case": f"op-{op.name}", "content": op.content, "operation": op.name, "equation": op.equation, "limits": op.rule,
             "variants": {}, "inputs": {}, "outputs": {}, "checks": {"mistakes": {}}}
    tensors, right, worst = {}, {}, 0.0
    for variant, (facts, inputs) in op.variants.items():
        about["variants"][variant] = facts
        exact, rounded = (op.function(as_type(inputs, t), facts, t) for t in (np.float64, np.float32))
        for name, value in inputs.items():
            tensors[f"{variant}.{name}"] = value
            about["inputs"][f"{variant}.{name}"] = _shape(value)
        for name, (y, s) in exact.items():
            label = f"{variant}.{name}"
            if s is None:
                assert np.array_equal(y, rounded[name][0]), f"{op.name} {label}: float32 chooses otherwise"
                tensors[label] = y
            else:
                limit = _limit(op, s) * np.ones(y.shape)
                tensors[label] = y.astype(np.float32)
                tensors[f"{label}.limit"] = np.nextafter((limit + np.abs(y) * 2.0**-24).astype(np.float32), np.float32(np.inf))
                ratio = _ratio(rounded[name][0], y, limit)
                assert op.exact or ratio <= 0.5, f"{op.name} {label}: plain float32 is off by {ratio:.2f} of the limit"
                worst, right[label] = max(worst, ratio), (y, limit)
            about["outputs"][label] = _shape(tensors[label])
    for mistake, (variant, function) in op.mistakes.items():
        facts, inputs = op.variants[variant]
        wrong = function(as_type(inputs, np.float64), facts, np.float64)
        sizes = [(_ratio(y, *right[f"{variant}.{n}"]), f"{variant}.{n}") for n, (y, s) in wrong.items() if f"{variant}.{n}" in right]
        size, where = max(sizes)
        assert size >= (10 if op.exact else 25), f"{op.name}: {mistake} is only {size:.1f} limits off"
        first = next(label for ratio, label in sizes if ratio > 1)
        about["checks"]["mistakes"][mistake] = {"first": first, "tolerances": float(f"{size:.3g}")}
    about["checks"]["float32_over_limit"] = float(f"{worst:.2g}")
    folder = _CASES / about["case"]
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(_CASES.parent))
    from g4_conformance.tensors import save
    save(folder / "expected.safetensors", tensors)
    write_about(folder / "case.json", about)
    return about


def _shape(value) -> dict:
    return {"shape": list(value.shape), "dtype": {"float32": "F32", "int32": "I32", "uint8": "U8"}[str(value.dtype)]}


def main(names: list[str]) -> None:
    _storages()
    for op in OPERATIONS:
        if not names or op.name in names:
            about = make(op)
            print(f"{about['case']:<22} {len(about['outputs']):>3} outputs, float32 within {about['checks']['float32_over_limit']:<7g} "
                  f"{len(about['checks']['mistakes'])} mistakes, the least {min(m['tolerances'] for m in about['checks']['mistakes'].values()):g}")


if __name__ == "__main__":
    main(sys.argv[1:])
