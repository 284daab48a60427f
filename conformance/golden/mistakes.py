"""What a port gets wrong, done to the reference on purpose.

A golden is worth having only if a wrong port fails it. Each function below makes one mistake in a loaded model, or
answers False where the model has no such part. generate.py runs every case with every mistake, writes the first
tensor that leaves its tolerance into case.json, and refuses a case that a mistake would slip through.
"""

import contextlib
import importlib

import torch
from torch import nn

from . import reference


def text_of(model):
    return reference.text_model(model)


def code_of(model):
    return importlib.import_module(type(text_of(model).layers[0].self_attn).__module__)


def attentions(model):
    return [layer.self_attn for layer in text_of(model).layers]


def patch(stack, owner, name, value):
    old = getattr(owner, name)
    setattr(owner, name, value)
    stack.callback(setattr, owner, name, old)


def _norms(model):
    return [m for m in text_of(model).modules()
            if type(m).__name__.endswith("RMSNorm") and getattr(m, "weight", None) is not None]


def _window(model, size):
    config = text_of(model).config
    if "sliding_attention" not in config.layer_types:
        return False
    config.sliding_window = size
    return None


def window_one_shorter(model, stack):
    return _window(model, text_of(model).config.sliding_window - 1)


def window_one_longer(model, stack):
    return _window(model, text_of(model).config.sliding_window + 1)


def window_missing(model, stack):
    return _window(model, 1 << 20)


def norm_of_the_other_flavour(model, stack):
    step = -1 if code_of(model).__name__.endswith("gemma3") else 1
    for norm in _norms(model):
        norm.weight += step


def embedding_unscaled(model, stack):
    text_of(model).embed_tokens.embed_scale = torch.tensor(1.0)


def final_soft_cap_dropped(model, stack):
    config = text_of(model).config
    if not hasattr(model, "lm_head") or config.final_logit_softcapping is None:
        return False
    config.final_logit_softcapping = 1e9
    return None


def layer_scalar_skipped(model, stack):
    if not hasattr(text_of(model).layers[0], "layer_scalar"):
        return False
    for layer in text_of(model).layers:
        layer.layer_scalar.fill_(1)
    return None


def _producer(model, kind):
    owners = [a for a in attentions(model) if a.layer_type == kind and not a.is_kv_shared_layer]
    readers = [a for a in attentions(model) if a.layer_type == kind and a.is_kv_shared_layer]
    if not readers or len(owners) < 2:
        return False
    owners[-1].store_full_length_kv = False
    owners[-2].store_full_length_kv = True
    return None


def sliding_keys_from_the_layer_before(model, stack):
    return hasattr(attentions(model)[0], "is_kv_shared_layer") and _producer(model, "sliding_attention")


def full_keys_from_the_layer_before(model, stack):
    return hasattr(attentions(model)[0], "is_kv_shared_layer") and _producer(model, "full_attention")


def rope_over_every_dimension(model, stack):
    rope = text_of(model).rotary_emb
    frequencies = rope.full_attention_inv_freq
    if not (frequencies == 0).any():
        return False
    theta = rope.config.rope_parameters["full_attention"]["rope_theta"]
    n = frequencies.numel()
    rope.full_attention_inv_freq = theta ** -(torch.arange(n) / n)
    return None


def rope_exponent_over_the_rotated_part(model, stack):
    rope = text_of(model).rotary_emb
    frequencies = rope.full_attention_inv_freq
    n = int((frequencies != 0).sum())
    if n == frequencies.numel() or n < 2:
        return False
    theta = rope.config.rope_parameters["full_attention"]["rope_theta"]
    frequencies = frequencies.clone()
    frequencies[:n] = theta ** -(torch.arange(n) / n)
    rope.full_attention_inv_freq = frequencies
    return None


def rope_bases_exchanged(model, stack):
    rope = text_of(model).rotary_emb
    if not hasattr(rope, "sliding_attention_inv_freq") or not hasattr(rope, "full_attention_inv_freq"):
        return False
    a, b = rope.sliding_attention_inv_freq, rope.full_attention_inv_freq
    if a.shape != b.shape:
        return False
    rope.sliding_attention_inv_freq, rope.full_attention_inv_freq = b, a
    return None


def rope_scaling_dropped(model, stack):
    rope = text_of(model).rotary_emb
    factor = rope.config.rope_parameters.get("full_attention", {}).get("factor", 1.0)
    if factor == 1.0:
        return False
    rope.full_attention_inv_freq = rope.full_attention_inv_freq * factor
    return None


def query_scaled_by_head_size(model, stack):
    changed = False
    for attention in attentions(model):
        right = attention.head_dim**-0.5
        changed |= abs(attention.scaling - right) > 1e-9
        attention.scaling = right
    return None if changed else False


def attention_soft_cap_dropped(model, stack):
    if not getattr(model, "attention_soft_cap_in_use", None):
        return False
    patch(stack, code_of(model), "eager_attention_forward", model.attention_soft_cap_in_use)
    return None


def _without(model, name):
    found = False
    for attention in attentions(model):
        if hasattr(attention, name):
            setattr(attention, name, nn.Identity())
            found = True
    return None if found else False


def query_norm_dropped(model, stack):
    return _without(model, "q_norm")


def key_norm_dropped(model, stack):
    return _without(model, "k_norm")


def value_norm_dropped(model, stack):
    return _without(model, "v_norm")


def _key_as_value_layers(model):
    return [a for a in attentions(model)
            if getattr(a, "use_alternative_attention", False) and not getattr(a, "is_kv_shared_layer", False)]


def key_as_value_taken_after_its_norm(model, stack):
    layers = _key_as_value_layers(model)
    for attention in layers:
        value_norm, key_norm = attention.v_norm.forward, attention.k_norm
        attention.v_norm.forward = lambda x, v=value_norm, k=key_norm: v(k(x))
    return None if layers else False


def key_as_value_without_its_bias(model, stack):
    layers = [a for a in _key_as_value_layers(model) if a.k_proj.bias is not None]
    for attention in layers:
        value_norm, bias = attention.v_norm.forward, attention.k_proj.bias.view(-1, attention.head_dim)
        attention.v_norm.forward = lambda x, v=value_norm, b=bias: v(x - b)
    return None if layers else False


def attention_bias_dropped(model, stack):
    found = False
    for attention in attentions(model):
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            linear = getattr(attention, name, None)
            if linear is not None and linear.bias is not None:
                linear.bias.zero_()
                found = True
    return None if found else False


def query_heads_grouped_the_other_way(model, stack):
    if all(a.num_key_value_groups == 1 for a in attentions(model)):
        return False
    if not any(1 < a.num_key_value_groups < a.config.num_attention_heads for a in attentions(model)):
        return False
    patch(stack, code_of(model), "repeat_kv", lambda x, n: x.repeat(1, n, 1, 1))
    return None


def gelu_by_erf(model, stack):
    for layer in text_of(model).layers:
        layer.mlp.act_fn = nn.GELU()


def double_width_ignored(model, stack):
    text = text_of(model)
    if not getattr(text.config, "use_double_wide_mlp", False):
        return False
    for layer in text.layers:
        if layer.self_attn.is_kv_shared_layer:
            half = layer.mlp.down_proj.weight.shape[1] // 2
            layer.mlp.down_proj.weight[:, half:] = 0
    return None


def head_taken_from_the_embedding(model, stack):
    if not hasattr(model, "lm_head") or text_of(model).config.tie_word_embeddings:
        return False
    model.lm_head.weight = text_of(model).embed_tokens.weight
    return None


# -- per-layer embeddings

def _has_ple(model):
    return bool(getattr(text_of(model).config, "hidden_size_per_layer_input", 0))


def per_layer_sum_unscaled(model, stack):
    if not _has_ple(model):
        return False
    text = text_of(model)
    text.per_layer_input_scale = torch.tensor(1.0) if isinstance(text.per_layer_input_scale, torch.Tensor) else 1.0
    return None


def per_layer_table_unscaled(model, stack):
    if not _has_ple(model):
        return False
    text_of(model).embed_tokens_per_layer.embed_scale = torch.tensor(1.0)
    return None


def per_layer_branch_norm_dropped(model, stack):
    if not _has_ple(model):
        return False
    for layer in text_of(model).layers:
        layer.post_per_layer_input_norm = nn.Identity()
    return None


# -- mixture of experts

def _moe_layers(model):
    return [layer for layer in text_of(model).layers if hasattr(layer, "router")]


def router_fed_the_normalised_input(model, stack):
    for layer in _moe_layers(model):
        layer.router.register_forward_pre_hook(lambda m, a, norm=layer.pre_feedforward_layernorm_2: (norm(a[0]),))
    return None if _moe_layers(model) else False


def router_scale_dropped(model, stack):
    for layer in _moe_layers(model):
        layer.router.scale.fill_(1)
    return None if _moe_layers(model) else False


def router_root_of_width_dropped(model, stack):
    for layer in _moe_layers(model):
        layer.router.scalar_root_size = 1.0
    return None if _moe_layers(model) else False


def per_expert_scale_dropped(model, stack):
    for layer in _moe_layers(model):
        layer.router.per_expert_scale.fill_(1)
    return None if _moe_layers(model) else False


def experts_fed_the_dense_norm(model, stack):
    for layer in _moe_layers(model):
        layer.pre_feedforward_layernorm_2 = layer.pre_feedforward_layernorm
    return None if _moe_layers(model) else False


def expert_gate_and_up_exchanged(model, stack):
    for layer in _moe_layers(model):
        gate, up = layer.experts.gate_up_proj.chunk(2, dim=1)
        layer.experts.gate_up_proj.data = torch.cat([up, gate], dim=1)
    return None if _moe_layers(model) else False


# -- Gemma 3n

def _is_3n(model):
    return hasattr(text_of(model).layers[0], "altup")


def laurel_residual_not_normalised(model, stack):
    if not _is_3n(model):
        return False
    for layer in text_of(model).layers:
        seen = {}
        layer.input_layernorm.register_forward_pre_hook(lambda m, a, seen=seen: seen.update(x=a[0]))
        layer.laurel.register_forward_hook(lambda m, a, out, seen=seen: out - a[0] + seen["x"])
    return None


def altup_factor_is_a_root(model, stack):
    if not _is_3n(model):
        return False
    for layer in text_of(model).layers:
        layer.altup.router_input_scale = torch.tensor(layer.altup.config.hidden_size**-0.5)
    return None


def altup_output_scale_dropped(model, stack):
    if not _is_3n(model) or not text_of(model).config.altup_correct_scale:
        return False
    for layer in text_of(model).layers:
        layer.altup.correct_output_scale.fill_(1)
    return None


def _sparse(model):
    return [layer.mlp for layer in text_of(model).layers if getattr(layer.mlp, "activation_sparsity", 0)]


def sparsity_dropped(model, stack):
    layers = _sparse(model)
    for mlp in layers:
        mlp.activation_sparsity = 0.0
    return None if layers else False


def sparsity_with_the_unbiased_deviation(model, stack):
    layers = _sparse(model)
    for mlp in layers:
        z = torch.distributions.Normal(0, 1).icdf(torch.tensor(mlp.activation_sparsity))
        mlp._gaussian_topk = lambda x, z=z: torch.relu(
            x - x.mean(-1, keepdim=True) - z * x.std(-1, keepdim=True, unbiased=True))
    return None if layers else False


# -- masks of image positions

def _vision_masks(model, stack, change):
    code = importlib.import_module(type(text_of(model)).__module__)
    original = getattr(code, "create_masks_for_vision_model", None)
    if original is None or not getattr(model, "runs_with_token_types", False):
        return False

    def wrong(**kwargs):
        masks = original(**kwargs)
        blind = original(**{**kwargs, "block_sequence_ids": torch.full_like(kwargs["block_sequence_ids"], -1)})
        return change(masks, blind, kwargs["block_sequence_ids"])

    patch(stack, code, "create_masks_for_vision_model", wrong)
    return None


def image_positions_causal(model, stack):
    return _vision_masks(model, stack, lambda masks, blind, blocks: blind)


def image_mask_on_the_wrong_layers(model, stack):
    """Gemma 3 opens both layer types to image runs, Gemma 4 only the sliding ones."""
    def change(masks, blind, blocks):
        if not torch.equal(masks["full_attention"], blind["full_attention"]):
            return {**masks, "full_attention": blind["full_attention"]}
        same = (blocks[:, None, :, None] == blocks[:, None, None, :]) & (blocks[:, None, :, None] >= 0)
        return {**masks, "full_attention": masks["full_attention"].masked_fill(same, 0.0)}

    return _vision_masks(model, stack, change)


# -- pictures and sounds that go straight in

def _patches(model):
    found = getattr(getattr(model, "model", None), "embed_vision", None)
    return found if hasattr(found, "patch_dense") else None


def patch_axes_exchanged(model, stack):
    """Columns look up the places of rows, and the other way round."""
    if _patches(model) is None:
        return False
    _patches(model).pos_embedding.data = _patches(model).pos_embedding.data.flip(1)
    return None


def _unnormed(norm):
    norm.register_forward_hook(lambda m, a, out: a[0])


def patches_not_normed(model, stack):
    return False if _patches(model) is None else _unnormed(_patches(model).patch_ln1)


def embedded_patches_not_normed(model, stack):
    return False if _patches(model) is None else _unnormed(_patches(model).patch_ln2)


def placed_patches_not_normed(model, stack):
    return False if _patches(model) is None else _unnormed(_patches(model).pos_norm)


def patch_bias_dropped(model, stack):
    if _patches(model) is None:
        return False
    _patches(model).patch_dense.bias.data.zero_()
    return None


def soft_rows_scaled(model, stack):
    """Rows of pictures and sounds multiplied by the root of the width, as those of the table are."""
    if _patches(model) is None:
        return False
    for embedder in (_patches(model).multimodal_embedder, model.model.embed_audio):
        embedder.register_forward_hook(lambda m, a, out: out * out.shape[-1] ** 0.5)
    return None


def sounds_not_normed(model, stack):
    if not hasattr(getattr(getattr(model, "model", None), "embed_audio", None), "embedding_pre_projection_norm"):
        return False
    return _unnormed(model.model.embed_audio.embedding_pre_projection_norm)


def _tower(model):
    found = getattr(getattr(model, "model", None), "vision_tower", None)
    return found if hasattr(found, "patch_embedder") else None


def tower_axes_exchanged(model, stack):
    """Columns look up the places of rows, and the other way round; both are turned rightly."""
    if _tower(model) is None:
        return False
    table = _tower(model).patch_embedder.position_embedding_table
    table.data = table.data.flip(0)
    return None


def tower_clips_nothing(model, stack):
    if _tower(model) is None or not _tower(model).config.use_clipped_linears:
        return False
    for name, bound in _tower(model).named_buffers():
        if name.endswith(("put_min", "put_max")):
            bound.fill_(float("-inf") if name.endswith("min") else float("inf"))
    return None


def tower_rope_of_another_base(model, stack):
    if _tower(model) is None:
        return False
    for name, frequencies in _tower(model).named_buffers():
        if name.endswith("inv_freq"):
            frequencies.pow_(2)
    return None


def tower_not_standardised(model, stack):
    if _tower(model) is None or not _tower(model).config.standardize:
        return False
    _tower(model).std_bias.fill_(0)
    _tower(model).std_scale.fill_(1)
    return None


def tower_values_not_normed(model, stack):
    if _tower(model) is None:
        return False
    for layer in _tower(model).encoder.layers:
        _unnormed(layer.self_attn.v_norm)
    return None


def _ears(model):
    found = getattr(getattr(model, "model", None), "audio_tower", None)
    return found if hasattr(found, "layers") else None


def ears_clip_nothing(model, stack):
    if _ears(model) is None or not _ears(model).config.use_clipped_linears:
        return False
    for name, bound in _ears(model).named_buffers():
        if name.endswith(("put_min", "put_max")):
            bound.fill_(float("-inf") if name.endswith("min") else float("inf"))
    return None


def ears_without_distances(model, stack):
    if _ears(model) is None:
        return False
    for layer in _ears(model).layers:
        layer.self_attn.relative_k_proj.weight.data.zero_()
    return None


def ears_reach_one_further(model, stack):
    if _ears(model) is None:
        return False
    _ears(model).config.attention_context_left += 1
    for layer in _ears(model).layers:
        layer.self_attn.max_past_horizon += 1
        layer.self_attn.context_size += 1
    return None


def ears_keys_unscaled(model, stack):
    if _ears(model) is None:
        return False
    for layer in _ears(model).layers:
        layer.self_attn.k_scale = 1.0
    return None


def ears_per_number_as_it_is(model, stack):
    """softplus taken twice, as a port does that trusts an mmproj file's number to be the checkpoint's."""
    if _ears(model) is None:
        return False
    for layer in _ears(model).layers:
        scale = layer.self_attn.per_dim_scale
        scale.data = torch.nn.functional.softplus(scale.data)
    return None


def ears_without_the_bias_behind(model, stack):
    if _ears(model) is None:
        return False
    _ears(model).output_proj.bias.data.zero_()
    return None


def ears_feed_whole(model, stack):
    """The feed-forwards added whole, and not by half."""
    if _ears(model) is None:
        return False
    for layer in _ears(model).layers:
        layer.feed_forward1.post_layer_scale = layer.feed_forward2.post_layer_scale = 1.0
    return None


# -- MobileNetV5

def _mobile(model):
    """None where the tower is as small as one can be: it stands for none then."""
    found = getattr(getattr(getattr(model, "model", None), "vision_tower", None), "timm_model", None)
    return found if found is not None and sum(len(size) for size in found.blocks) > 2 else None


def _mobile_parts(model, part):
    return [m for m in _mobile(model).modules() if hasattr(m, part)] if _mobile(model) is not None else []


def mobile_margin_in_front(model, stack):
    """Where a margin is odd, the one more in front and not behind."""
    found = False
    for conv in _mobile(model).modules() if _mobile(model) is not None else []:
        if type(conv).__name__ != "Conv2dSame" or conv.stride[0] == 1:
            continue
        def wrong(x, conv=conv):
            side, stride = conv.kernel_size[0], conv.stride[0]
            all_ = [max((-(n // -stride) - 1) * stride + side - n, 0) for n in x.shape[-2:]]
            x = torch.nn.functional.pad(x, [(all_[1] + 1) // 2, all_[1] // 2, (all_[0] + 1) // 2, all_[0] // 2])
            return torch.nn.functional.conv2d(x, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)
        conv.forward, found = wrong, True
    return None if found else False


def mobile_layers_unscaled(model, stack):
    parts = _mobile_parts(model, "gamma")
    for part in parts:
        part.gamma.fill_(1)
    return None if parts else False


def mobile_scores_unscaled(model, stack):
    parts = _mobile_parts(model, "kv_stride")
    for part in parts:
        part.fused_attn, part.scale = False, 1.0
    return None if parts and hasattr(parts[0], "scale") else False


def mobile_stem_bias_dropped(model, stack):
    if _mobile(model) is None:
        return False
    _mobile(model).conv_stem.conv.bias.zero_()
    return None


def mobile_drawn_smoothly(model, stack):
    if _mobile(model) is None:
        return False
    _mobile(model).msfa.interpolation_mode = "bilinear"
    return None


def mobile_gelu_missing_in_the_middle(model, stack):
    found = [m.dw_mid for m in _mobile_parts(model, "dw_mid") if hasattr(m.dw_mid, "bn")]
    for part in found:
        part.bn.act = nn.Identity()
    return None if found else False


def own_ids_normed_as_soft_rows(model, stack):
    if _mobile(model) is None:
        return False
    embedder = model.model.embed_vision
    embedder.hard_embedding_norm = embedder.soft_embedding_norm
    return None


def own_ids_from_the_table(model, stack):
    if _mobile(model) is None:
        return False
    model.model.embed_vision.vocab_offset = 1 << 20
    return None


def soft_rows_not_normed_behind(model, stack):
    if _mobile(model) is None:
        return False
    _unnormed(model.model.embed_vision.embedding_post_projection_norm)
    return None


# -- the conformer of Gemma 3n


def _usm(model):
    """None where the tower is as small as one can be: it stands for none then."""
    found = getattr(getattr(model, "model", None), "audio_tower", None)
    return found if len(getattr(found, "conformer", ())) > 1 else None


def _in_usm(model, change, part=lambda block: block.attention.attn):
    if _usm(model) is None:
        return False
    for block in _usm(model).conformer:
        change(part(block))
    return None


def usm_without_distances(model, stack):
    return _in_usm(model, lambda a: a.relative_position_embedding.pos_proj.weight.data.zero_())


def usm_reach_one_further(model, stack):
    def change(a):
        a.max_past_horizon += 1
        a.context_size += 1
        a.relative_position_embedding.max_backward += 1
        a.local_causal_valid_mask = a.create_local_causal_valid_mask()
    return _in_usm(model, change)


def usm_keys_scaled(model, stack):
    """As Gemma 4 scales them."""
    factor = float(torch.nn.functional.softplus(torch.tensor(1.0)) / torch.log(torch.tensor(2.0)))
    return _in_usm(model, lambda a: a.k_proj.weight.data.mul_(factor))


def usm_feed_whole(model, stack):
    def change(block):
        block.ffw_layer_start.post_layer_scale = block.ffw_layer_end.post_layer_scale = 1.0
    return _in_usm(model, change, lambda block: block)


def _convolutions(model):
    front = None if _usm(model) is None else _usm(model).subsample_conv_projection
    return [] if front is None else [front.conv_0, front.conv_1]


def usm_convolutions_around_themselves(model, stack):
    for block in _convolutions(model):
        block.manual_padding = (1, 1, 1, 1)
    return None if _convolutions(model) else False


def usm_normed_place_by_place(model, stack):
    """Over the channels of a place, as Gemma 4 norms them."""
    for block in _convolutions(model):
        def wrong(x, norm=block.norm):
            return torch.nn.functional.layer_norm(x, x.shape[-1:], eps=norm.eps) * norm.weight
        block.norm.forward = wrong
    return None if _convolutions(model) else False


def usm_variance_about_the_last_mean(model, stack):
    """All that was heard about the mean that stands now, and not each row about the one that stood when it was heard."""
    for block in _convolutions(model):
        def wrong(x, norm=block.norm):
            count = torch.arange(1, x.shape[1] + 1)[None, :, None, None] * x[0, 0].numel()
            mean = x.sum((2, 3), keepdim=True).cumsum(1) / count
            square = (x * x).sum((2, 3), keepdim=True).cumsum(1) / count
            return (x - mean) * torch.rsqrt(square - mean * mean + norm.eps) * norm.weight
        block.norm.forward = wrong
    return None if _convolutions(model) else False


def usm_filled_with_the_first_id(model, stack):
    """What a clip leaves free holds the first of the tower's ids and not the last."""
    if _usm(model) is None:
        return False
    table = model.model.embed_audio.embedding.weight.data
    table[-1] = table[0]
    return None


def usm_ids_normed_as_soft_rows(model, stack):
    if _usm(model) is None:
        return False
    embedder = model.model.embed_audio
    embedder.hard_embedding_norm = embedder.soft_embedding_norm
    return None


ALL = [f for name, f in list(globals().items())
       if callable(f) and getattr(f, "__module__", "") == __name__ and not name.startswith("_")
       and name not in ("text_of", "code_of", "attentions", "patch")]

# Mistakes that change little by nature: recorded, not required. The tanh form of GELU differs from the exact one by
# 5e-4 at most, the two deviations by 1/(2n).
SMALL = {"gelu_by_erf", "sparsity_with_the_unbiased_deviation"}


def changes(load, run, outputs):
    """Over the mistakes that apply: {mistake: (first tensor that leaves its tolerance, most tolerances by which any
    tensor leaves it, largest change of the last tensor)}.

    run(model) gives named tensors, outputs what case.json says of each; load() gives a fresh model. The last tensor
    named by outputs, the logits or the embedding, is what a port sees that looks at nothing else.
    """
    right, found = run(load()), {}
    for mistake in ALL:
        with contextlib.ExitStack() as stack:
            model = load()
            if mistake(model, stack) is False:
                continue
            wrong = run(model)
        first, most = None, 0.0
        for name, about in outputs.items():
            if name not in right:
                continue
            change = float((wrong[name].double() - right[name].double()).abs().nan_to_num(float("inf")).max())
            ratio = change / about["atol"] if "atol" in about else 0.0
            if first is None and (ratio > 1 or "atol" not in about and change > 0):
                first = name
            most = max(most, ratio)
        last = [name for name in outputs if name in right][-1]
        found[mistake.__name__] = first, most, float((wrong[last] - right[last]).abs().max())
    return found
