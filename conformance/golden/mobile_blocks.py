"""MobileNetV5's blocks, for the operation cases: each gives (y, s), a value and the sum of the magnitudes that it is made of.

A number's s goes through what comes after it: a sum of products has Σ|w|·s, a norm the s of what it norms times its factor and
the error of the factor itself, a GELU s times its largest slope, 1.13, and its own rounding.
Inputs have the names and extents of the checkpoint; python -m golden.mobile_blocks holds the float64 values against timm's own modules.
"""

from __future__ import annotations

import functools

import numpy as np


def _margins(n, side, stride):
    """Of "SAME": the odd one behind."""
    all_of = max((-(-n // stride) - 1) * stride + side - n, 0)
    return all_of // 2, all_of - all_of // 2


def _squares(plane, side, stride, in_front=False):
    """[H, W, C] → [rows, columns, side, side, C]"""
    turn = (lambda m: m[::-1]) if in_front else (lambda m: m)
    padded = np.pad(plane, (turn(_margins(plane.shape[0], side, stride)), turn(_margins(plane.shape[1], side, stride)), (0, 0)))
    rows, columns = (-(-n // stride) for n in plane.shape[:2])
    return np.stack([np.stack([padded[i * stride:i * stride + side, j * stride:j * stride + side] for j in range(columns)])
                     for i in range(rows)])


def _conv(x, kernel, stride=1, **how):
    """kernel [out, in, side, side], or [channels, 1, side, side] for each channel by itself."""
    alone = kernel.shape[1] == 1
    sum_of = lambda p, k: np.einsum("ijabc,cab->ijc" if alone else "ijabc,ocab->ijo", _squares(p, k.shape[-1], stride, **how), k[:, 0] if alone else k)
    return sum_of(x[0], kernel), sum_of(x[1], np.abs(kernel))


def _map(x, weight):
    """weight [out, in, 1, 1]"""
    w = weight[:, :, 0, 0]
    return x[0] @ w.T, x[1] @ np.abs(w).T


def _norm(x, weight, t):
    y, s = x
    squares = np.mean(y * y, -1, keepdims=True)
    factor = 1 / np.sqrt(squares + t(1e-6))
    normed = y * factor * weight
    return normed, np.abs(weight) * factor * s + np.abs(normed) * (2 + np.sqrt(np.mean(s * s, -1, keepdims=True) / squares))


def _gelu(x):
    y, s = x
    t = y.dtype.type
    return t(0.5) * y * (1 + np.tanh(t(np.sqrt(2 / np.pi)) * (y + t(0.044715) * y * y * y))), 1.13 * s + np.abs(y)


def _added(x, made, added=True):
    if not added or x[0].shape != made[0].shape:
        return made
    return x[0] + made[0], x[1] + made[1]


def _given(x):
    return x["x"], np.abs(x["x"])


def edge_residual(x, f, t):
    given, how = _given(x), {"in_front": f.get("in_front", False)}
    y = _norm(_conv(given, x["conv_exp.weight"].swapaxes(2, 3) if f.get("turned") else x["conv_exp.weight"], f["stride"], **how), x["bn1.weight"], t)
    y = y if f.get("no_gelu") else _gelu(y)
    y = _norm(_map(y, x["conv_pwl.weight"]), x["bn2.weight"], t)
    return {"y": _added(given, _gelu(y) if f.get("gelu_behind") else y, f.get("added", True))}


def inverted_residual(x, f, t):
    given = y = _given(x)
    if "dw_start.conv.weight" in x:
        stride = 1 if "dw_mid.conv.weight" in x and not f.get("halves_first") else f["stride"]
        y = _norm(_conv(y, x["dw_start.conv.weight"], stride), x["dw_start.bn.weight"], t)
        y = _gelu(y) if f.get("gelu_at_the_start") else y
    y = _gelu(_norm(_map(y, x["pw_exp.conv.weight"]), x["pw_exp.bn.weight"], t))
    if "dw_mid.conv.weight" in x:
        y = _norm(_conv(y, x["dw_mid.conv.weight"], 1 if f.get("halves_first") else f["stride"]), x["dw_mid.bn.weight"], t)
        y = y if f.get("no_gelu_in_the_middle") else _gelu(y)
    y = _norm(_map(y, x["pw_proj.conv.weight"]), x["pw_proj.bn.weight"], t)
    gamma = x["layer_scale.gamma"] if f.get("scaled", True) else 1
    return {"y": _added(given, (y[0] * gamma, y[1] * np.abs(gamma)), f.get("added", True))}


def mobile_attention(x, f, t):
    given, d = _given(x), f["head_size"]
    z = _norm(given, x["norm.weight"], t)

    def seen(name):
        rows = z
        if f"attn.{name}.down_conv.weight" in x and not f.get("every_place"):
            rows = _norm(_conv(rows, x[f"attn.{name}.down_conv.weight"], f["key_stride"]), x[f"attn.{name}.norm.weight"], t)
        rows = _map(rows, x[f"attn.{name}.proj.weight"])
        return tuple(part.reshape(-1, d) for part in rows)

    q = tuple(part.reshape(-1, f["heads"], d) for part in _map(z, x["attn.query.proj.weight"]))
    k, v = seen("key"), seen("key" if f.get("values_as_keys") else "value")
    scale = t(f.get("scale", d**-0.5))
    score = np.einsum("qhd,kd->hqk", q[0], k[0]) * scale
    size = (np.einsum("qhd,kd->hqk", q[1], np.abs(k[0])) + np.einsum("qhd,kd->hqk", np.abs(q[0]), k[1])) * scale
    if f.get("causal"):
        score = np.where(np.arange(score.shape[2]) <= np.arange(score.shape[1])[:, None], score, t(-np.inf))
    p = np.exp(score - score.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True)
    out = np.einsum("hqk,kd->qhd", p, v[0])
    grown = np.einsum("hqk,kd->qhd", p, v[1]) + np.einsum("hqk,kd->qhd", p, np.abs(v[0])) * (2 + 2 * size.max(-1)).T[..., None]
    out = tuple(part.reshape(*given[0].shape[:2], -1) for part in (out, grown))
    out = _map(out, x["attn.output.proj.weight"])
    gamma = x["layer_scale.gamma"] if f.get("scaled", True) else 1
    return {"y": _added(given, (out[0] * gamma, out[1] * np.abs(gamma)))}


def multi_scale_fusion(x, f, t):
    large, small, side = x["large"], x["small"], f["side"]
    i, j = (np.arange(large.shape[a]) * small.shape[a] // large.shape[a] for a in (0, 1))
    drawn = (small.swapaxes(0, 1) if f.get("turned") else small)[i][:, j]
    both = [large, drawn] if not f.get("exchanged") else [drawn, large]
    y = np.concatenate(both, -1)
    y = _gelu(_norm(_map((y, np.abs(y)), x["ffn.pw_exp.conv.weight"]), x["ffn.pw_exp.bn.weight"], t))
    y = _norm(_map(y, x["ffn.pw_proj.conv.weight"]), x["ffn.pw_proj.bn.weight"], t)
    a, b = (n // side for n in large.shape[:2])
    middle = lambda part: part.reshape(side, a, side, b, -1).mean((1, 3))
    y = (middle(y[0]), middle(y[1])) if not f.get("picked") else (y[0][::a, ::b], y[1][::a, ::b])
    return {"y": _norm(y, x["norm.weight"], t) if f.get("normed", True) else y}


# ---- Variants: facts, and inputs of the extents that each block has --------------------------------------------------


def _conv_weights(normal, name, out, into, side, norm="bn"):
    """A convolution of `into` channels, 1 for each channel by itself, and the norm behind it."""
    return {f"{name}.weight": normal((out, into, side, side), scale=(into * side**2) ** -0.5), norm: 1 + normal((out,), scale=0.2)}


def _edge(normal, size, channels, inner, out):
    return {"x": normal((size, size, channels)), **_conv_weights(normal, "conv_exp", inner, channels, 3, "bn1.weight"),
            **_conv_weights(normal, "conv_pwl", out, inner, 1, "bn2.weight")}


def _inverted(normal, size, channels, inner, out, start=0, middle=0):
    w = {"x": normal((size, size, channels))}
    if start:
        w |= _conv_weights(normal, "dw_start.conv", channels, 1, start, "dw_start.bn.weight")
    w |= _conv_weights(normal, "pw_exp.conv", inner, channels, 1, "pw_exp.bn.weight")
    if middle:
        w |= _conv_weights(normal, "dw_mid.conv", inner, 1, middle, "dw_mid.bn.weight")
    return w | _conv_weights(normal, "pw_proj.conv", out, inner, 1, "pw_proj.bn.weight") | {"layer_scale.gamma": normal((out,), scale=0.5)}


def _attention(normal, size, channels, heads, d, key_stride):
    w = {"x": normal((size, size, channels)), "norm.weight": 1 + normal((channels,), scale=0.2)}
    product = lambda out, into: normal((out, into, 1, 1), scale=into**-0.5)
    w["attn.query.proj.weight"] = 2 * product(heads * d, channels)
    for name in ("key", "value"):
        if key_stride > 1:
            w |= _conv_weights(normal, f"attn.{name}.down_conv", channels, 1, 3, f"attn.{name}.norm.weight")
        w[f"attn.{name}.proj.weight"] = product(d, channels)
    return w | {"attn.output.proj.weight": product(channels, heads * d), "layer_scale.gamma": normal((channels,), scale=0.5)}


def _fusion(normal, large, small, kept, last, inner, out):
    return {"large": normal((large, large, kept)), "small": normal((small, small, last)),
            **_conv_weights(normal, "ffn.pw_exp.conv", inner, kept + last, 1, "ffn.pw_exp.bn.weight"),
            **_conv_weights(normal, "ffn.pw_proj.conv", out, inner, 1, "ffn.pw_proj.bn.weight"), "norm.weight": 1 + normal((out,), scale=0.2)}


def variants(numbers):
    """Of each operation. `numbers(shape, *key, scale)` draws normal numbers."""
    def of(*key):
        count = iter(range(1000))
        return lambda shape, scale=1.0: numbers(shape, "mobile", *key, next(count), scale=scale)

    return {
        "edge-residual": {"added": ({"stride": 1}, _edge(of("ea"), 5, 4, 16, 4)),
                          "halved": ({"stride": 2}, _edge(of("eh"), 6, 4, 24, 6))},
        "inverted-residual": {"halved": ({"stride": 2}, _inverted(of("ih"), 6, 4, 16, 6, start=3, middle=5)),
                              "at_the_start": ({"stride": 1}, _inverted(of("is"), 5, 4, 16, 4, start=5)),
                              "maps_alone": ({"stride": 1}, _inverted(of("im"), 3, 8, 16, 8))},
        "mobile-attention": {"every_place": ({"heads": 3, "head_size": 4, "key_stride": 1}, _attention(of("ae"), 3, 6, 3, 4, 1)),
                             "thinned_out": ({"heads": 2, "head_size": 8, "key_stride": 2}, _attention(of("at"), 6, 6, 2, 8, 2))},
        "multi-scale-fusion": {"halved": ({"side": 2}, _fusion(of("fh"), 6, 3, 4, 6, 24, 8)),
                               "odd": ({"side": 3}, _fusion(of("fo"), 9, 5, 3, 5, 16, 6))}}


def against_timm(name, facts, inputs, y) -> float:
    """The largest distance between y and what timm's own module makes of the inputs in float64."""
    import torch
    from timm.layers import GELUTanh, RmsNorm2d
    from timm.models import _efficientnet_blocks as blocks, mobilenetv5
    double = {k: torch.from_numpy(np.asarray(v, np.float64)) for k, v in inputs.items()}
    plane = lambda v: v.permute(2, 0, 1)[None]
    layers = {"norm_layer": functools.partial(RmsNorm2d, eps=1e-6), "act_layer": GELUTanh}
    with torch.no_grad():
        if name == "multi-scale-fusion":
            module = mobilenetv5.MobileNetV5MultiScaleFusionAdapter(
                in_chs=[inputs["large"].shape[-1], inputs["small"].shape[-1]], out_chs=len(inputs["norm.weight"]), output_resolution=facts["side"],
                expansion_ratio=2.0, interpolation_mode="nearest", **layers)
            given = [plane(double["large"]), plane(double["small"])]
        else:
            out = len(inputs.get("bn2.weight", inputs.get("pw_proj.bn.weight", inputs.get("layer_scale.gamma"))))
            shared = {"in_chs": inputs["x"].shape[-1], "out_chs": out, "pad_type": "same", **layers}
            size = lambda k: inputs[k].shape[-1] if k in inputs else 0
            if name == "edge-residual":
                module = blocks.EdgeResidual(exp_kernel_size=3, stride=facts["stride"], exp_ratio=len(inputs["bn1.weight"]) / shared["in_chs"], **shared)
            elif name == "inverted-residual":
                module = blocks.UniversalInvertedResidual(
                    dw_kernel_size_start=size("dw_start.conv.weight"), dw_kernel_size_mid=size("dw_mid.conv.weight"), stride=facts["stride"],
                    exp_ratio=len(inputs["pw_exp.bn.weight"]) / shared["in_chs"], layer_scale_init_value=1.0, **shared)
            else:
                module = blocks.MobileAttention(num_heads=facts["heads"], key_dim=facts["head_size"], value_dim=facts["head_size"], dw_kernel_size=3,
                                                kv_stride=facts["key_stride"], use_multi_query=True, layer_scale_init_value=1.0, **shared)
            given = plane(double["x"])
        module = module.double().eval()
        weights = {k: v for k, v in double.items() if k not in ("x", "large", "small")}
        module.load_state_dict(weights, strict=True)
        made = module(given)[0].permute(1, 2, 0).numpy()
    return float(np.max(np.abs(made - y)))


if __name__ == "__main__":
    from .operations import _normal
    functions = {"edge-residual": edge_residual, "inverted-residual": inverted_residual, "mobile-attention": mobile_attention,
                 "multi-scale-fusion": multi_scale_fusion}
    for operation, of_it in variants(_normal).items():
        for variant, (facts, given) in of_it.items():
            exact = functions[operation]({k: v.astype(np.float64) for k, v in given.items()}, facts, np.float64)["y"][0]
            distance = against_timm(operation, facts, given, exact)
            print(f"{operation:<20} {variant:<14} {distance:.1e} from timm")
            assert distance < 1e-12, f"{operation}, {variant}: timm makes something else"
