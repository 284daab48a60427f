"""Runs a checkpoint folder through the reference implementation and collects what a port can compare with.

The reference is transformers in PyTorch on the CPU, eager attention, one thread. Every run happens twice: in float32,
which gives the values, and in float64, which says how far float32 itself is from the truth.
"""

import contextlib
import importlib
import json
import pathlib

import torch
import transformers
from transformers import DynamicCache

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
torch.set_grad_enabled(False)


# ---------------------------------------------------------------------------------------------------------------------
# loading


def _allow_models_that_only_read_keys():
    """transformers 5.23.0 cannot build a drafter: its sharing rule looks for the layers that produce keys and values
    and raises when there are none. In a drafter all layers read, and nothing in it produces."""
    from transformers.models.gemma4.configuration_gemma4 import Gemma4TextConfig

    if getattr(Gemma4TextConfig, "_reads_only_patch", False):
        return
    original = Gemma4TextConfig.kv_sharing_modes.fget

    def modes(self):
        if self.num_kv_shared_layers == self.num_hidden_layers:
            return ["reuse"] * self.num_hidden_layers
        return original(self)

    Gemma4TextConfig.kv_sharing_modes = property(modes)
    Gemma4TextConfig._reads_only_patch = True


def model_class(config):
    return getattr(transformers, config["architectures"][0])


def load(folder, dtype=torch.float32):
    """The model of a checkpoint folder. Every tensor of the file must be used; only a tied head may be missing."""
    _allow_models_that_only_read_keys()
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    model, info = model_class(config).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    missing = [k for k in info["missing_keys"] if k != "lm_head.weight"]
    if missing or info["unexpected_keys"] or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: missing {missing}, unexpected {info['unexpected_keys']}, "
                         f"mismatched {info['mismatched_keys']}")
    model.eval()
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")
    if dtype == torch.float64:
        _to_double(model)
    return model


def _to_double(model):
    """float64 weights, and the constants the model rounded to float32 when it was built, made again in float64."""
    model.double()
    for module in model.modules():
        if hasattr(module, "scalar_embed_scale"):
            module.embed_scale = torch.tensor(module.scalar_embed_scale, dtype=torch.float64)
        for name in ("per_layer_projection_scale", "per_layer_input_scale", "router_input_scale"):
            if isinstance(getattr(module, name, None), torch.Tensor):
                width = module.config.hidden_size
                exact = {"per_layer_projection_scale": width**-0.5, "per_layer_input_scale": 2.0**-0.5,
                         "router_input_scale": 1.0 / width}[name]
                setattr(module, name, torch.tensor(exact, dtype=torch.float64))


@contextlib.contextmanager
def arithmetic(dtype):
    """Inside, a float64 model stays in float64: the reference asks for float32 by name in its norms, its softmax, its
    rotary angles and its router, which is right for bfloat16 and would hide the rounding we want to measure."""
    if dtype != torch.float64:
        yield
        return
    softmax, to_float, to = torch.nn.functional.softmax, torch.Tensor.float, torch.Tensor.to

    def wide_softmax(x, dim=None, _stacklevel=3, dtype=None):
        return softmax(x, dim=dim, dtype=torch.float64)

    def wide_to(self, *args, **kwargs):
        if kwargs.get("dtype") == torch.float32:
            kwargs["dtype"] = torch.float64
        args = tuple(torch.float64 if a is torch.float32 else a for a in args)
        return to(self, *args, **kwargs)

    torch.nn.functional.softmax = wide_softmax
    torch.Tensor.float = torch.Tensor.double
    torch.Tensor.to = wide_to
    try:
        yield
    finally:
        torch.nn.functional.softmax, torch.Tensor.float, torch.Tensor.to = softmax, to_float, to


def rotary_tables_in_float64(model):
    """Replaces the inverse frequencies, which the reference rounds to float32, by float64 ones: for `exact` runs."""
    for module in model.modules():
        kinds = [k for k in ("full_attention", "sliding_attention") if hasattr(module, f"{k}_inv_freq")]
        for kind in kinds:
            rounded = getattr(module, f"{kind}_inv_freq").double()
            rope = module.config.rope_parameters[kind]
            head = getattr(module.config, "per_layer_config", None)
            dim = head[kind].head_dim if head else module.config.head_dim
            steps = torch.arange(0, dim, 2, dtype=torch.float64) / dim
            exact = rope["rope_theta"] ** -steps / rope.get("factor", 1.0)
            exact = torch.where(rounded == 0, torch.zeros_like(exact), exact)
            assert torch.allclose(exact, rounded, rtol=1e-6, atol=0), kind
            setattr(module, f"{kind}_inv_freq", exact)


# ---------------------------------------------------------------------------------------------------------------------
# looking inside


def text_model(model):
    for path in ("model.language_model", "model", "language_model"):
        found = model
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is not None and hasattr(found, "layers"):
            return found
    return model  # a bare text model


class Taps:
    """Collects the named tensors of one forward pass, batch dimension removed. `inner`: layers to look inside."""

    def __init__(self, model, inner=()):
        self.model, self.text, self.inner, self.values = model, text_model(model), inner, {}

    def keep(self, name, tensor):
        self.values[name] = tensor.detach().clone()

    def streams(self, x):  # Gemma 3n: [A, 1, T, D] -> [T, A, D]; otherwise [1, T, D] -> [T, D]
        return x[:, 0].transpose(0, 1) if x.dim() == 4 else x[0]

    def __enter__(self):
        self.handles, text = [], self.text
        on = lambda module, hook: self.handles.append(module.register_forward_hook(hook))  # noqa: E731

        self.handles.append(text.layers[0].register_forward_pre_hook(
            lambda m, a, k: self.keep("embed", self.streams(a[0] if a else k["hidden_states"])), with_kwargs=True))
        on(text.norm, lambda m, a, out: self.keep("final_norm", out[0]))
        if hasattr(text, "project_per_layer_inputs"):
            original = text.project_per_layer_inputs

            def project(*args, **kwargs):
                out = original(*args, **kwargs)
                self.keep("per_layer_inputs", out[0])
                return out

            if getattr(text, "hidden_size_per_layer_input", 0):
                text.project_per_layer_inputs = project
        for i, layer in enumerate(text.layers):
            on(layer, lambda m, a, out, i=i: self.keep(f"hidden.{i}", self.streams(out)))
            if hasattr(layer, "router"):
                on(layer.router, lambda m, a, out, i=i: self.keep(f"router.{i}.weight", out[1]))
                on(layer.router, lambda m, a, out, i=i: self.keep(f"router.{i}.index", out[2]))
            if i in self.inner:
                on(layer.mlp, lambda m, a, out, i=i: self.keep(f"mlp.{i}.out", out[0]))
                if hasattr(layer, "router"):
                    on(layer.mlp, lambda m, a, out, i=i: self.keep(f"moe.{i}.dense", out[0]))
                    on(layer.experts, lambda m, a, out, i=i: self.keep(f"moe.{i}.experts", out))
                if hasattr(layer, "post_per_layer_input_norm"):
                    on(layer.post_per_layer_input_norm, lambda m, a, out, i=i: self.keep(f"ple.{i}.out", out[0]))
                if hasattr(layer, "laurel"):
                    on(layer.laurel, lambda m, a, out, i=i: self.keep(f"laurel.{i}.out", out[0]))
                    self.watch_altup(layer.altup, i)
        if self.inner:
            self.watch_attention()
        return self

    def watch_altup(self, altup, i):
        predict, correct = altup.predict, altup.correct

        def watched_predict(x):
            out = predict(x)
            self.keep(f"altup.{i}.predicted", self.streams(out))
            return out

        def watched_correct(predictions, activated):
            out = correct(predictions, activated)
            self.keep(f"altup.{i}.corrected", self.streams(out))
            return out

        altup.predict, altup.correct = watched_predict, watched_correct

    def watch_attention(self):
        self.code = importlib.import_module(type(self.text.layers[0].self_attn).__module__)
        self.eager = self.code.eager_attention_forward

        def watched(module, query, key, value, *args, **kwargs):
            out, weights = self.eager(module, query, key, value, *args, **kwargs)
            i = module.layer_idx
            if i not in self.inner:
                return out, weights
            self.keep(f"attn.{i}.query", query[0].transpose(0, 1))
            if not getattr(module, "is_kv_shared_layer", False):
                self.keep(f"attn.{i}.key", key[0].transpose(0, 1))
                self.keep(f"attn.{i}.value", value[0].transpose(0, 1))
            self.keep(f"attn.{i}.out", out[0].reshape(out.shape[1], -1))
            return out, weights

        self.code.eager_attention_forward = watched

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()
        self.text.__dict__.pop("project_per_layer_inputs", None)
        for layer in self.text.layers:
            if hasattr(layer, "altup"):
                layer.altup.__dict__.pop("predict", None)
                layer.altup.__dict__.pop("correct", None)
        if self.inner:
            self.code.eager_attention_forward = self.eager


# ---------------------------------------------------------------------------------------------------------------------
# running


def mask_for_images(model, ids, token_types, cache):
    """The masks of a prompt with image positions, made by the reference's own functions (see README, "Image masks")."""
    text = text_model(model)
    code = importlib.import_module(type(text).__module__)
    embeds = text.embed_tokens(ids)
    blocks = code.get_block_sequence_ids_for_mask(token_types, ids.device)
    positions = torch.arange(ids.shape[1]).unsqueeze(0)
    return code.create_masks_for_vision_model(
        config=text.config, inputs_embeds=embeds, attention_mask=None, past_key_values=cache, position_ids=positions,
        block_sequence_ids=blocks)


def forward(model, ids, *, token_types=None, inner=(), dtype=torch.float32, **kwargs):
    """All taps of one pass over `ids` [T] without a cache."""
    ids = ids.reshape(1, -1)
    with arithmetic(dtype), Taps(model, inner) as taps:
        if token_types is not None:
            kwargs["attention_mask"] = mask_for_images(model, ids, token_types.reshape(1, -1), None)
        out = model(input_ids=ids, use_cache=False, **kwargs)
        if hasattr(out, "logits"):
            taps.keep("logits", out.logits[0])
    return taps.values


def greedy(model, ids, count, *, token_types=None, dtype=torch.float32):
    """`count` tokens: one prefill of the prompt, then one token at a time through the cache."""
    text = text_model(model)
    cache = DynamicCache(config=text.config)
    chosen, rows = [], []
    with arithmetic(dtype):
        step, kwargs = ids.reshape(1, -1), {}
        if token_types is not None:
            kwargs["attention_mask"] = mask_for_images(model, step, token_types.reshape(1, -1), cache)
        for _ in range(count):
            logits = model(input_ids=step, past_key_values=cache, use_cache=True, **kwargs).logits[0, -1]
            kwargs = {}
            rows.append(logits.clone())
            chosen.append(int(logits.argmax()))
            step = torch.tensor([[chosen[-1]]])
    return torch.tensor(chosen), torch.stack(rows)


def library_generate(model, ids, count):
    """The same continuation as transformers' own generate() gives it."""
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    out = model.generate(input_ids=ids.reshape(1, -1), max_new_tokens=count, do_sample=False)
    return out[0, ids.numel():]
