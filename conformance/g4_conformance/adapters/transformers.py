"""transformers in PyTorch on the CPU, as it stands: what its own forward gives, nothing mended.

    g4-conformance run --engine g4_conformance.adapters.transformers:Eager      float32, eager attention
                                                                   :Sdpa       float32, PyTorch's fused attention
                                                                   :BFloat16   bfloat16, eager; --budget rounded
"""

from __future__ import annotations

import contextlib
import fnmatch
import importlib
import json
import warnings

import numpy as np

from .. import NotApplicable

_INPUTS = {"token_type_ids": "token_type_ids", "mm_token_type_ids": "mm_token_type_ids", "pixel_values": "pixel_values",
           "image_position_ids": "image_position_ids", "input_features": "input_features", "input_features_mask": "input_features_mask"}


class Eager:
    attention, experts, dtype = "eager", "eager", "float32"

    def __init__(self):
        try:
            import torch
            import transformers
        except ImportError as e:
            raise NotApplicable(f"needs the packages transformers and torch: {e}") from None
        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        torch.set_grad_enabled(False)
        torch.set_num_threads(1)
        self.torch, self.transformers = torch, transformers
        self.memory = None  # bytes for weights: what is more waits in the checkpoint
        self.small = None
        self._loaded = None

    def run(self, case):
        if case.is_text or case.is_operation:
            raise NotApplicable("this adapter runs whole models")
        if (case.folder / "assistant").is_dir():
            raise NotApplicable("transformers 5.23.0 cannot build a drafter, whose layers only read keys")
        torch, model = self.torch, self.model(case)
        ids = torch.tensor(np.asarray(case.inputs["input_ids"], np.int64))[None]
        more = {}
        for name, argument in _INPUTS.items():
            if name in case.inputs:
                value = torch.tensor(np.asarray(case.inputs[name]))
                if name.endswith("type_ids"):
                    value = value.long()[None]
                elif name.endswith("position_ids"):
                    value = value.long()
                elif name.endswith("mask"):
                    value = value.bool()
                else:
                    value = value.to(model.dtype)
                more[argument] = value
        if more and "pixel_values" not in more and "input_features" not in more:
            raise NotApplicable("transformers makes the mask of pictures only where there are pictures")
        wanted = case.about["outputs"]
        rows = case.inputs.get("rows")
        rows = None if rows is None else torch.tensor(rows.astype(np.int64))
        some = {} if rows is None else {"logits_to_keep": rows}  # all would not fit where a prompt and a vocabulary are long
        with _Watch(model, more) as seen:
            out = model(input_ids=ids, use_cache=False, **more, **some, **self.masks(model, ids, more))
        found = {name: _shaped(name, value, wanted) for name, value in seen.items() if any(fnmatch.fnmatchcase(name, w) for w in wanted)}
        if rows is not None:
            found = {name: value if name.startswith(_TOWERS) else value[rows] for name, value in found.items()}
        if getattr(out, "logits", None) is not None:
            found["logits"] = out.logits[0]
        if "greedy_ids" in wanted:
            found |= self._greedy(model, ids, more, case.about["new_tokens"])
        if "offset.logits" in wanted:
            far = {n: torch.tensor(case.inputs[f"offset.{n}"].astype(np.int64))[None] for n in ("input_ids", "position_ids")}
            found["offset.logits"] = model(**far, use_cache=False).logits[0, -case.about["outputs"]["offset.logits"]["shape"][0]:]
        if "embedding" in wanted:
            found |= self._embeddings(case, model)
        return {name: _array(value) for name, value in found.items()}

    def model(self, case):
        """The checkpoint's model; the last one is kept, since several prompts may share it."""
        config = case.folder / "config.json"
        if self._loaded is None or self._loaded[0] != config.resolve():
            self._loaded = None
            cls = getattr(self.transformers, _architecture(json.loads(config.read_text())))
            if self.memory is None:
                model = cls.from_pretrained(case.folder, dtype=getattr(self.torch, self.dtype), attn_implementation=self.attention).eval()
            else:
                from .streamed import SMALL, Streams
                model = Streams(self.torch, self.transformers, self.memory, SMALL if self.small is None else self.small).model(case.folder, cls, self.attention)
            if self.experts == "eager" and hasattr(model, "set_experts_implementation"):
                model.set_experts_implementation("eager")
            self._loaded = (config.resolve(), self.changed(model))
        return self._loaded[1]

    def changed(self, model):
        """What runs in place of a model that was just read; nothing is changed."""
        return model

    def masks(self, model, ids, more, cache=None):
        """Arguments that stand for masks; none: a forward makes its own."""
        return {}

    def _greedy(self, model, ids, more, count):
        """One prefill, then one token at a time through the cache."""
        torch = self.torch
        text = model.config.get_text_config()
        cache = self.transformers.DynamicCache(config=text)
        chosen, rows, step = [], [], ids
        more = {**more, **self.masks(model, ids, more, cache)}
        for _ in range(count):
            out = model(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1, **more)
            more = {}
            rows.append(out.logits[0, -1])
            chosen.append(int(rows[-1].argmax()))
            step = torch.tensor([[chosen[-1]]])
        return {"greedy_ids": torch.tensor(chosen), "greedy_logits": torch.stack(rows)}

    def _embeddings(self, case, model):
        from ..tensors import load
        torch, found = self.torch, {}
        for prefix in ("", "short."):
            ids = torch.tensor(case.inputs[f"{prefix}input_ids"].astype(np.int64))[None]
            vector = model(input_ids=ids).last_hidden_state[0].mean(0)
            found[f"{prefix}pooled"] = vector
            for i in (0, 1):
                weight = torch.tensor(load(case.folder / f"{i + 2}_Dense" / "model.safetensors")["linear.weight"]).to(vector.dtype)
                vector = weight @ vector
                found[f"{prefix}dense.{i}"] = vector
            found[f"{prefix}embedding"] = vector / vector.norm()
        return {name: value for name, value in found.items() if name in case.about["outputs"]}


class Sdpa(Eager):
    attention, experts = "sdpa", ""


class BFloat16(Eager):
    dtype = "bfloat16"


class Reference(Eager):
    """What `real` holds an engine to: as generate() runs it. A plain forward of the unified Gemma 4 lets the positions of a picture
    see each other in full layers too."""

    def masks(self, model, ids, more, cache=None):
        if model.config.model_type != "gemma4_unified" or "mm_token_type_ids" not in more:
            return {}
        text = _text_of(model)
        code = importlib.import_module(type(text).__module__)
        return {"attention_mask": code.create_masks_for_vision_model(
            config=text.config, inputs_embeds=text.embed_tokens(ids), attention_mask=None, past_key_values=cache,
            position_ids=self.torch.arange(ids.shape[1])[None],
            block_sequence_ids=code.get_block_sequence_ids_for_mask(more["mm_token_type_ids"], ids.device))}


class AnotherOrder(Reference):
    """The same arithmetic with its sums in another order: fused attention where there is one, every product of matrices in two
    halves, convolutions without oneDNN."""

    attention = {"": "sdpa", "text_config": "sdpa", "vision_config": "sdpa", "audio_config": "eager"}
    experts = "eager"

    def run(self, case):
        with _in_halves(self.torch):
            return super().run(case)


class ExactAngles(Reference):
    """The same arithmetic in the same order, with angles from float64."""

    def changed(self, model):
        from . import angles
        return angles.from_float64(self.torch, model)


@contextlib.contextmanager
def _in_halves(torch):
    linear = torch.nn.functional.linear

    def halved(x, weight, bias=None):
        half = weight.shape[1] // 2
        if half == 0 or x.dtype != torch.float32:
            return linear(x, weight, bias)
        out = linear(x[..., half:], weight[:, half:]) + linear(x[..., :half], weight[:, :half])
        return out if bias is None else out + bias

    torch.nn.functional.linear = halved
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a GPU could do besides
            switched = torch.backends.mkldnn.flags(enabled=False)
            with switched:
                yield
    finally:
        torch.nn.functional.linear = linear


def _architecture(config):
    """The class that runs a checkpoint; what a config.json does not say follows from its kind."""
    if config.get("architectures"):
        return config["architectures"][0]
    names = {"gemma3": "Gemma3", "gemma3n": "Gemma3n", "gemma4": "Gemma4", "gemma4_unified": "Gemma4Unified"}
    kind = str(config.get("model_type"))
    if (name := names.get(kind.removesuffix("_text"))) is None:
        raise NotApplicable(f"no model of transformers that is known here has the model_type {kind}")
    return name + ("ForCausalLM" if kind.endswith("_text") else "ForConditionalGeneration")


_TOWERS = ("vision.", "audio.")


def _shaped(name, value, wanted):
    """A tower's rows come with or without the axis of pictures; they are given as a case has them."""
    shape = wanted.get(name, {}).get("shape")
    return value.reshape(shape) if name.startswith(_TOWERS) and shape and value.numel() == np.prod(shape) else value


def _array(value):
    value = value.detach()
    return (value.float() if value.is_floating_point() else value.int()).contiguous().numpy()


class _Watch:
    """Forward hooks on what every family has, under the names of the cases."""

    def __init__(self, model, given):
        self.seen, self.handles, self.model, self.given = {}, [], model, given
        self.text = _text_of(model)

    def __enter__(self):
        text = self.text

        def keep(name, value):
            self.seen[name] = value.detach().clone()  # some are changed in place afterwards

        on = lambda module, hook: self.handles.append(module.register_forward_hook(hook))
        first = lambda out: out[0] if isinstance(out, tuple) else out
        streams = lambda x: x[:, 0].transpose(0, 1) if x.dim() == 4 else x[0]
        self.handles.append(text.layers[0].register_forward_pre_hook(
            lambda m, a, k: keep("embed", streams(a[0] if a else k["hidden_states"])), with_kwargs=True))
        on(text.norm, lambda m, a, out: keep("final_norm", out[0]))
        if getattr(text, "hidden_size_per_layer_input", 0):
            combine = text.project_per_layer_inputs

            def combined(*args, **kwargs):
                out = combine(*args, **kwargs)
                keep("per_layer_inputs", out[0])
                return out

            text.project_per_layer_inputs = combined
        self._attention(keep)
        for i, layer in enumerate(text.layers):
            on(layer, lambda m, a, out, i=i: keep(f"hidden.{i}", streams(first(out))))
            on(layer.mlp, lambda m, a, out, i=i: keep(f"mlp.{i}.out", out[0]))
            if hasattr(layer, "router"):
                on(layer.router, lambda m, a, out, i=i: self.seen.update({f"router.{i}.weight": out[1], f"router.{i}.index": out[2]}))
            if hasattr(layer, "post_per_layer_input_norm"):
                on(layer.post_per_layer_input_norm, lambda m, a, out, i=i: keep(f"ple.{i}.out", out[0]))
            if hasattr(layer, "laurel"):
                on(layer.laurel, lambda m, a, out, i=i: keep(f"laurel.{i}.out", out[0]))
        self._towers(on, keep)
        return self.seen

    def _attention(self, keep):
        """What goes into the text's attention and comes out of it, whichever implementation runs."""
        code = importlib.import_module(type(self.text.layers[0].self_attn).__module__)
        functions, layers = code.ALL_ATTENTION_FUNCTIONS, {id(layer.self_attn): i for i, layer in enumerate(self.text.layers)}

        class Watched:
            def get_interface(self, name, default):
                inner = functions.get_interface(name, default)

                def attend(module, query, key, value, *args, **kwargs):
                    out = inner(module, query, key, value, *args, **kwargs)
                    if (i := layers.get(id(module))) is not None:
                        keep(f"attn.{i}.query", query[0].transpose(0, 1))
                        if not getattr(module, "is_kv_shared_layer", False):
                            keep(f"attn.{i}.key", key[0].transpose(0, 1))
                            keep(f"attn.{i}.value", value[0].transpose(0, 1))
                        keep(f"attn.{i}.out", out[0][0].flatten(1))
                    return out

                return attend

        code.ALL_ATTENTION_FUNCTIONS = Watched()
        self.restore = lambda: setattr(code, "ALL_ATTENTION_FUNCTIONS", functions)

    def _towers(self, on, keep):
        """Padding is set to 0, as in the cases."""
        whole = getattr(self.model, "model", self.model)
        state = lambda out: getattr(out, "last_hidden_state", out[0] if isinstance(out, tuple) else out)
        tower = getattr(whole, "vision_tower", None)
        if hasattr(tower, "timm_model") and "pixel_values" in self.given:
            inside = tower.timm_model
            on(inside.conv_stem, lambda m, a, out: keep("vision.stem", out))
            for s, size in enumerate(inside.blocks):
                for b, block in enumerate(size):
                    on(block, lambda m, a, out, s=s, b=b: keep(f"vision.block.{s}.{b}", out))
            on(inside.msfa, lambda m, a, out: keep("vision.tower_out", out))
        elif hasattr(tower, "encoder"):
            places = self.given.get("image_position_ids")
            clear = (lambda x: x) if places is None else (lambda x: x * (places >= 0).all(-1)[..., None] if x.dim() == 3 else x)
            on(getattr(tower, "patch_embedder", None) or tower.embeddings, lambda m, a, out: keep("vision.patch_embed", clear(state(out))))
            for i, layer in enumerate(tower.encoder.layers):
                on(layer, lambda m, a, out, i=i: keep(f"vision.layer.{i}", clear(state(out))))
            on(tower, lambda m, a, out: keep("vision.tower_out", state(out)))
        tower = getattr(whole, "audio_tower", None)
        mask = self.given.get("input_features_mask")
        if hasattr(tower, "subsample_conv_projection") and mask is not None:
            quarter = mask[:, ::4]
            left = quarter[:, :: getattr(self.model.config.audio_config, "conf_reduction_factor", 1)]
            layers = getattr(tower, "layers", None) or tower.conformer
            for name, module, valid in [("subsample", tower.subsample_conv_projection, quarter), ("tower_out", tower, left),
                                        *((f"layer.{i}", layer, quarter) for i, layer in enumerate(layers))]:
                on(module, lambda m, a, out, name=name, valid=valid: keep(f"audio.{name}", state(out) * valid[..., None]))
        into = getattr(whole, "embed_vision", None) or getattr(whole, "multi_modal_projector", None)
        if hasattr(into, "multimodal_embedder"):  # pictures that go straight in
            valid = (self.given["image_position_ids"] >= 0).all(-1)
            for name in ("patch_dense", "patch_ln2", "pos_norm"):
                on(getattr(into, name), lambda m, a, out, name=name: keep(f"vision.{name}", state(out) * valid[..., None]))
            on(into.multimodal_embedder, lambda m, a, out: keep("vision.soft_tokens", out[valid]))
        elif into is not None:
            self._soft_rows(into, lambda out: keep("vision.soft_tokens", state(out)))
        into = getattr(whole, "embed_audio", None)
        if into is not None and mask is not None:
            some = lambda out: out[mask[:, :: -(-mask.shape[1] // out.shape[1])]] if out.dim() == 3 else out
            self._soft_rows(into, lambda out: keep("audio.soft_tokens", some(out)))

    def _soft_rows(self, module, keep):
        """Gemma 3n runs the same map for ids of the tower's own; only what comes of rows is meant."""
        self.handles.append(module.register_forward_hook(
            lambda m, a, k, out: keep(out) if a or k.get("input_ids") is None else None, with_kwargs=True))

    def __exit__(self, *_):
        self.text.__dict__.pop("project_per_layer_inputs", None)
        self.restore()
        for handle in self.handles:
            handle.remove()


def _text_of(model):
    return next(m for path in ("model.language_model", "model", "language_model", "")
                if (m := _at(model, path)) is not None and hasattr(m, "layers") and hasattr(m, "embed_tokens"))


def _at(model, path):
    for part in filter(None, path.split(".")):
        model = getattr(model, part, None)
        if model is None:
            return None
    return model
