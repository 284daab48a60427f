"""Writes a case folder: config.json in either spelling, model.safetensors, expected.safetensors, case.json."""

import copy
import json
import math
import pathlib

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from . import reference, weights
from .about import write_about


def published(config):
    """The keys as released checkpoints have them, from the keys as transformers 5.23 writes them."""
    config = dict(config)
    family = config["model_type"]
    if family in ("gemma3_text", "gemma3n_text"):
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope["full_attention"]["rope_theta"]
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        factor = rope["full_attention"].get("factor")
        config["rope_scaling"] = {"rope_type": "linear", "factor": factor} if factor else None
    if family == "gemma3_text":
        period = config.pop("_sliding_window_pattern")
        regular = ["sliding_attention" if (i + 1) % period else "full_attention"
                   for i in range(config["num_hidden_layers"])]
        if config["layer_types"] == regular:
            del config["layer_types"]
            config["sliding_window_pattern"] = period
    if family in ("gemma4_text", "gemma4_unified_text"):
        full = list(config.pop("per_layer_config", {}).values())
        config["global_head_dim"] = full[0]["head_dim"] if full else config["head_dim"]
        config["num_global_key_value_heads"] = full[0].get("num_key_value_heads") if full else None
    return config


def write_config(folder, architecture, settings, *, spelling, dtype, nested=None, keep=(), towers=None):
    """config.json of a text model; `nested` wraps it as the text part of a multimodal config of that model type.

    `keep`: keys to write as given although the reference changes them when it reads them.
    `towers`: what stands beside the text in place of nothing."""
    cls = getattr(transformers, architecture).config_class
    if nested:
        cls = transformers.CONFIG_MAPPING[f"{nested}_text"]
    built = cls(**copy.deepcopy(settings)).to_dict()    # the reference corrects lists in place; `keep` wants them as given
    if "per_layer_config" in built and not any(built["per_layer_config"].values()):
        del built["per_layer_config"]
    noise = ("_name_or_path", "chunk_size_feed_forward", "id2label", "label2id", "is_encoder_decoder",
             "output_attentions", "output_hidden_states", "problem_type", "return_dict", "architectures", "dtype")
    text = {k: v for k, v in built.items() if k not in noise}
    text.update({k: settings[k] for k in keep})
    if spelling == "published":
        text = published(text)
    if nested:
        config = {"model_type": nested, "text_config": text, "vision_config": None, "audio_config": None,
                  "tie_word_embeddings": text["tie_word_embeddings"],
                  "boi_token_id": 176, "eoi_token_id": 177, "image_token_id": 178, "video_token_id": 179,
                  "boa_token_id": 180, "eoa_token_index": 181, "audio_token_id": 182, **(towers or {})}
    else:
        config = text
    config["architectures"] = [architecture]
    config["dtype"] = dtype
    config["transformers_version"] = transformers.__version__
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    read = transformers.AutoConfig.from_pretrained(folder).get_text_config().to_dict()
    differing = [k for k, v in built.items() if k not in noise and k not in keep and read.get(k) != v]
    differing = [k for k in differing if k != "transformers_version"]
    if differing:
        raise SystemExit(f"{folder.name}: config.json reads back differently in "
                         f"{[(k, built[k], read.get(k)) for k in differing]}")
    return config


def draw_weights(model, seed, *, one_plus_weight):
    text = reference.text_model(model)
    ple = getattr(text, "embed_tokens_per_layer", None)
    for name, tensor in model.state_dict().items():
        if name.startswith("lm_head") and model.config.get_text_config().tie_word_embeddings:
            continue
        if not tensor.dtype.is_floating_point:
            continue
        if ple is not None and name.endswith("embed_tokens_per_layer.weight"):
            value = weights.ple_table(name, tuple(tensor.shape), seed, text.hidden_size_per_layer_input)
        else:
            value = weights.draw(name, tuple(tensor.shape), seed, one_plus_weight=one_plus_weight)
        tensor.copy_(torch.from_numpy(np.asarray(value)))


def write_model(folder, architecture, seed, *, dtype="float32"):
    """model.safetensors with random weights, names as in a released checkpoint, a tied head left out."""
    reference._allow_models_that_only_read_keys()
    cls = getattr(transformers, architecture)
    config = cls.config_class.from_pretrained(folder)   # of a text model: the text part of a multimodal config
    model = cls(config)
    draw_weights(model, seed, one_plus_weight=config.model_type.startswith("gemma3_") or config.model_type == "gemma3")
    save_weights(folder, model, dtype)


def published_name(name):
    """A tensor of the unified Gemma 4 as released files call it: the reference nests its embedders otherwise."""
    inside = "model.embed_vision."
    if name.startswith(inside + "multimodal_embedder."):
        return name.replace("multimodal_embedder.", "", 1)
    return name.replace(inside, "model.vision_embedder.", 1)


def save_weights(folder, model, dtype="float32"):
    tied = model.config.get_text_config().tie_word_embeddings
    unified = model.config.model_type == "gemma4_unified"
    state = {published_name(k) if unified else k: v for k, v in model.state_dict().items() if not (tied and k == "lm_head.weight")}
    to = {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
    state = {k: v.to(to).contiguous().clone() if v.dtype.is_floating_point else v.contiguous()
             for k, v in state.items()}
    write_tensors(folder / "model.safetensors", state)


def write_tensors(path, tensors):
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)


def two_digits(x):
    """Rounded up to two significant digits."""
    if x == 0 or not math.isfinite(x):
        return x
    unit = 10.0 ** (math.floor(math.log10(abs(x))) - 1)
    return float(f"{math.ceil(x / unit - 1e-9) * unit:.2g}")


def digits(x, n=3):
    return float(f"{x:.{n}g}")


class Expected:
    """The tensors of expected.safetensors and what case.json says about each."""

    def __init__(self):
        self.tensors, self.inputs, self.outputs = {}, {}, {}

    def input(self, name, tensor):
        self._exact(self.inputs, name, tensor, {})

    def exact(self, name, tensor):
        self._exact(self.outputs, name, tensor, {"exact": True})

    def _exact(self, where, name, tensor, more):
        tensor = tensor if tensor.dtype == torch.uint8 else tensor.to(torch.int32)
        self.tensors[name] = tensor.contiguous()
        where[name] = {"shape": list(tensor.shape), "dtype": "U8" if tensor.dtype == torch.uint8 else "I32", **more}

    def real(self, name, value, wide, atol=None):
        value = value.float().contiguous().clone()
        distance = float((value.double() - wide.double()).abs().max())
        scale = float(value.abs().max())
        self.tensors[name] = value
        self.outputs[name] = {
            "shape": list(value.shape), "dtype": "F32", "max_abs": digits(scale, 7),
            "std": digits(float(value.std()), 6), "f32_vs_f64_max_abs_err": digits(distance),
            "atol": two_digits(atol or max(40 * distance, 2e-5 * scale))}

    def all(self, values, wide, keep=None):
        """Every tap of a run: expert choices are integers, all else real."""
        for name in sorted(values, key=_natural):
            if keep is not None and not keep(name):
                continue
            if name.endswith(".index"):
                self.exact(name, values[name])
            else:
                self.real(name, values[name], wide[name])


_INSIDE = ("altup.predicted", "laurel.out", "attn.query", "attn.key", "attn.value", "attn.out", "mlp.out", "moe.dense",
           "router.weight", "router.index", "moe.experts", "altup.corrected", "ple.out", "hidden")
_ENDS = ("vision.patch_embed", "vision.stem", "audio.subsample", "TOWER", "vision.tower_out", "audio.tower_out", "audio.mask", "vision.patch_dense", "vision.patch_ln2", "vision.pos_norm", "vision.soft_tokens", "audio.soft_tokens", "embed", "per_layer_inputs", "LAYERS", "final_norm", "pooled", "dense.0", "dense.1", "embedding", "logits")


def _natural(name):
    """The order in which a forward pass meets the tensors, so that the first wrong one is the one to look at."""
    parts = name.split(".")
    if name in _ENDS:
        return _ENDS.index(name), 0, 0
    if parts[1] == "block":
        return _ENDS.index("TOWER"), int(parts[2]), int(parts[3])
    if parts[1] == "layer":
        return _ENDS.index("TOWER"), int(parts[2]), 0
    layer = int(parts[1])
    return _ENDS.index("LAYERS"), layer, _INSIDE.index(".".join(parts[:1] + parts[2:]))


def write_case(folder, about, expected, checks):
    folder = pathlib.Path(folder)
    write_tensors(folder / "expected.safetensors", expected.tensors)
    case = {"case": folder.name, **about, "inputs": expected.inputs, "outputs": expected.outputs, "checks": checks}
    write_about(folder / "case.json", case)
