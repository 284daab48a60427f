"""DeepMind's package gemma in JAX, float32 on the CPU: text of Gemma 3 and 4.

    g4-conformance run --engine g4_conformance.adapters.gemma_jax:Float32

The package's own TransformerConfig and Transformer, with a case's weights in place of a released checkpoint's. A continuation
is run as its sampler would, but without a cache: the text so far, padded to its final length behind a mask, so that one
compiled program serves every step. Of its insides it shows what every block returns: the stream, and in Gemma 4 keys and values.
What its configuration cannot say is not applicable, with the reason.
"""

from __future__ import annotations

import numpy as np

from .. import NotApplicable


class Float32:
    def __init__(self):
        try:
            import jax
            import jax.numpy as jnp
            from gemma.gm.nn import _config as config3, _modules as modules3, _transformer as transformer3
            from gemma.gm.nn.gemma4 import _config as config4, _modules as modules4, _transformer as transformer4
        except ImportError as e:
            raise NotApplicable(f"needs the packages gemma and jax: {e}") from None
        jax.config.update("jax_default_matmul_precision", "highest")
        self.jax, self.jnp = jax, jnp
        self.of = {3: (config3, modules3, transformer3), 4: (config4, modules4, transformer4)}

    def run(self, case):
        c, generation = _config(case)
        of = self.of[generation]
        kinds = _kinds(c)
        config = (_config3 if generation == 3 else _config4)(c, kinds, of)
        model = of[2].Transformer(config=config, dtype=self.jnp.float32, tokens="tokens")
        weights = {name.removeprefix("model.").removeprefix("language_model."): np.asarray(value, np.float32) for name, value in case.weights().items()}
        params = (_params3 if generation == 3 else _params4)(c, kinds, weights)
        ids = case.inputs["input_ids"].astype(np.int32)
        count = case.about.get("new_tokens") or 0
        images = case.inputs.get("token_type_ids")
        show = lambda module, method: type(module).__name__ in ("Block", "RMSNorm", "Embedder") and method in ("__call__", "encode", "encode_per_layer_input")
        run = self.jax.jit(lambda tokens, positions, mask: model.apply(
            {"params": params}, tokens, positions=positions, attention_mask=mask, capture_intermediates=show, mutable=["intermediates"]))

        def forward(text, positions=None):
            length = len(ids) + count
            tokens = np.zeros(length, np.int32)
            tokens[:len(text)] = text
            positions = np.arange(length, dtype=np.int32) if positions is None else positions
            sees = np.tril(np.ones((length, length), bool))
            if images is not None:  # runs of image positions see each other
                starts = np.diff(images, prepend=0) > 0
                run_of = np.zeros(length, np.int32)
                run_of[:len(images)] = np.cumsum(starts) * (images == 1)
                sees |= (run_of[:, None] == run_of[None, :]) & (run_of[:, None] > 0)
            return run(tokens[None], positions[None], sees[None])

        out, seen = forward(ids)
        found = self._shown(seen["intermediates"], len(kinds), len(ids))
        logits = np.asarray(out.logits[0])
        found["logits"] = logits[:len(ids)]
        rows, chosen = [logits[len(ids) - 1]], []
        for step in range(count):
            chosen.append(int(np.argmax(rows[-1])))
            if step + 1 < count:
                rows.append(np.asarray(forward(np.concatenate([ids, chosen]))[0].logits[0, len(ids) + step]))
        if count:
            found |= {"greedy_ids": np.array(chosen, np.int32), "greedy_logits": np.stack(rows)}
        if "offset.input_ids" in case.inputs:
            far = case.inputs["offset.position_ids"].astype(np.int32)
            behind = np.arange(far[-1] + 1, far[-1] + 1 + len(ids) + count - len(far), dtype=np.int32)
            out, _ = forward(case.inputs["offset.input_ids"], np.concatenate([far, behind]))
            kept = case.about["outputs"]["offset.logits"]["shape"][0]
            found["offset.logits"] = np.asarray(out.logits[0, len(far) - kept:len(far)])
        return {name: np.asarray(value, np.int32 if name == "greedy_ids" else np.float32) for name, value in found.items() if name in case.about["outputs"]}

    @staticmethod
    def _shown(seen, layers, tokens):
        found = {"embed": seen["embedder"]["encode"][0][0, :tokens], "final_norm": seen["final_norm"]["__call__"][0][0, :tokens]}
        if "encode_per_layer_input" in seen["embedder"]:
            found["per_layer_inputs"] = seen["embedder"]["encode_per_layer_input"][0][0, :tokens]
        for i in range(layers):
            cache, x = seen[f"layer_{i}"]["__call__"][0]
            found[f"hidden.{i}"] = x[0, :tokens]
            for part, name in (("key", "k"), ("value", "v")) if cache is not None else ():
                found[f"attn.{i}.{part}"] = cache[name][0, :tokens]
        return found


def _config(case):
    if not case.config:
        raise NotApplicable("this adapter runs whole models")
    c = case.config.get("text_config") or case.config
    if case.config.get("vision_config") or case.config.get("audio_config"):
        raise NotApplicable("this adapter runs text alone; the package's towers have fixed sizes")
    if (case.folder / "assistant").is_dir():
        raise NotApplicable("the package has no drafters")
    if c["model_type"] not in ("gemma3_text", "gemma4_text"):
        raise NotApplicable(f"this adapter runs Gemma 3 and 4, and no {c['model_type']}")
    if (case.folder / "modules.json").exists():
        raise NotApplicable("the package has no text embedder")
    if c.get("use_bidirectional_attention") == "all":
        raise NotApplicable("the package has no encoder")
    if "mm_token_type_ids" in case.inputs:
        raise NotApplicable("the package makes the mask of pictures only where pictures are given")
    if c.get("attention_bias"):
        raise NotApplicable("the package's attention has no biases")
    if not c.get("tie_word_embeddings", True):
        raise NotApplicable("the package's head is the embedding")
    if c["rms_norm_eps"] != 1e-6:
        raise NotApplicable("the package's norms have an epsilon of 1e-6")
    return c, 3 if c["model_type"] == "gemma3_text" else 4


def _kinds(c):
    """Which layers are full, as the reference has them: Gemma 4 makes the last one full."""
    pattern = c.get("sliding_window_pattern") or c.get("_sliding_window_pattern")
    kinds = c.get("layer_types") or ["sliding_attention" if (i + 1) % pattern else "full_attention" for i in range(c["num_hidden_layers"])]
    return [kind == "full_attention" or c["model_type"] == "gemma4_text" and i + 1 == len(kinds) for i, kind in enumerate(kinds)]


def _ropes(c):
    ropes = c.get("rope_parameters") or {}
    full = ropes.get("full_attention") or {"rope_theta": c.get("rope_theta"), **(c.get("rope_scaling") or {})}
    local = ropes.get("sliding_attention") or {"rope_theta": c.get("rope_local_base_freq")}
    return full, local


def _shared_config(c, kinds, modules):
    full, local = _ropes(c)
    return {"num_embed": c["vocab_size"], "embed_dim": c["hidden_size"], "hidden_dim": c["intermediate_size"],
            "num_heads": c["num_attention_heads"], "head_dim": c["head_dim"], "num_kv_heads": c["num_key_value_heads"],
            "final_logit_softcap": c.get("final_logit_softcapping"), "use_post_attn_norm": True, "use_post_ffw_norm": True,
            "attention_types": tuple(modules.AttentionType.GLOBAL if f else modules.AttentionType.LOCAL_SLIDING for f in kinds),
            "sliding_window_size": c["sliding_window"], "local_base_frequency": local["rope_theta"],
            "global_base_frequency": full["rope_theta"], "global_scale_factor": full.get("factor", 1.0),
            "local_scale_factor": local.get("factor", 1.0)}


def _config3(c, kinds, of):
    config, modules, _ = of
    scalar, heads = c["query_pre_attn_scalar"], c["num_attention_heads"]
    how = config.QueryPreAttentionNormalisation
    if scalar == c["head_dim"]:
        scaled = how.BY_ONE_OVER_SQRT_HEAD_DIM
    elif scalar == c["hidden_size"] // heads:
        scaled = how.BY_ONE_OVER_SQRT_EMBED_DIM_DIV_NUM_HEADS
    else:
        raise NotApplicable("the package scales queries by the head size or by width over heads, and by nothing else")
    return config.TransformerConfig(**_shared_config(c, kinds, modules), query_pre_attn_norm=scaled, transpose_gating_einsum=True,
                                    attn_logits_soft_cap=c.get("attn_logit_softcapping"), use_qk_norm=True)


def _config4(c, kinds, of):
    config, modules, _ = of
    layers, shared = len(kinds), c.get("num_kv_shared_layers") or 0
    sharing = None
    if shared:
        own = layers - shared
        sharing = config.KVCacheSharingConfig(frac_shared_layers=shared / layers, share_global=True, share_local=True)
        last = {full: max((i for i in range(own) if kinds[i] == full), default=None) for full in (True, False)}
        if any(last[full] != own - (1 if full else 2) for full in set(kinds[own:])):
            raise NotApplicable("the package shares keys of the last layer of its own and of the one before, which have to be full and sliding")
        if int(layers - sharing.frac_shared_layers * layers) != own:
            raise NotApplicable("the package takes a fraction of shared layers, which does not give this number")
    sizes = [_head_size(c, i, full) for i, full in enumerate(kinds)]
    if len({size for size, full in zip(sizes, kinds) if full}) != 1:
        raise NotApplicable("the package has one head size for full layers")
    full_heads = {_kv_heads(c, i, full) for i, full in enumerate(kinds) if full}
    if len(full_heads) != 1:
        raise NotApplicable("the package has one number of key heads for full layers")
    experts = {}
    if c.get("enable_moe_block"):
        if sharing or c.get("hidden_size_per_layer_input"):
            raise NotApplicable("the package has experts, and shared layers of double width, but not together")
        experts = {"enable_moe": True, "num_experts": c["num_experts"], "expert_dim": c["moe_intermediate_size"],
                   "top_k_experts": c["top_k_experts"], "moe_dense_hidden_dim": c["intermediate_size"]}
    full, _ = _ropes(c)
    return config.TransformerConfig(
        **_shared_config(c, kinds, modules), num_global_kv_heads=full_heads.pop(), global_key_size=sizes[kinds.index(True)],
        k_eq_v_global=bool(c.get("attention_k_eq_v")), global_rope_proportion=full.get("partial_rotary_factor", 1.0), local_rope_proportion=1.0,
        per_layer_input_dim=c.get("hidden_size_per_layer_input") or 0, kv_cache_sharing_config=sharing,
        override_kv_shared_ffw_hidden=2 * c["intermediate_size"] if c.get("use_double_wide_mlp") else None, **experts)


def _head_size(c, i, full):
    of_layer = c.get("per_layer_config", {}).get(str(i), {})
    return of_layer.get("head_dim") or (c.get("global_head_dim") if full else None) or c["head_dim"]


def _kv_heads(c, i, full):
    of_layer = c.get("per_layer_config", {}).get(str(i), {})
    alike = full and c.get("attention_k_eq_v")
    return of_layer.get("num_key_value_heads") or (c.get("num_global_key_value_heads") if alike else None) or c["num_key_value_heads"]


def _heads(weight, heads):
    """[heads · d, width] as [heads, width, d]"""
    return weight.reshape(heads, -1, weight.shape[1]).swapaxes(1, 2)


def _gates(w, part):
    return {"gating_einsum": np.stack([w[part + "gate_proj.weight"], w[part + "up_proj.weight"]]), "linear": w[part + "down_proj.weight"].T}


def _norms(w, part, **names):
    return {ours: {"scale": w[f"{part}{theirs}.weight"]} for ours, theirs in names.items()}


def _params3(c, kinds, w):
    heads, kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
    params = {"embedder": {"input_embedding": w["embed_tokens.weight"]}, **_norms(w, "", final_norm="norm")}
    for i in range(len(kinds)):
        part = f"layers.{i}.self_attn."
        q, k, v = (_heads(w[f"{part}{n}_proj.weight"], count) for n, count in (("q", heads), ("k", kv_heads), ("v", kv_heads)))
        attn = {"attn_vec_einsum": {"w": w[part + "o_proj.weight"].T.reshape(heads, -1, c["hidden_size"])},
                **_norms(w, part, _query_norm="q_norm", _key_norm="k_norm")}
        attn |= {"qkv_einsum": {"w": np.stack([q, k, v])}} if heads == kv_heads else {"q_einsum": {"w": q}, "kv_einsum": {"w": np.stack([k, v])}}
        params[f"layer_{i}"] = {"attn": attn, "mlp": _gates(w, f"layers.{i}.mlp."),
                                **_norms(w, f"layers.{i}.", pre_attention_norm="input_layernorm", post_attention_norm="post_attention_layernorm",
                                         pre_ffw_norm="pre_feedforward_layernorm", post_ffw_norm="post_feedforward_layernorm")}
    return params


def _params4(c, kinds, w):
    heads, width, layers, per_layer = c["num_attention_heads"], c["hidden_size"], len(kinds), c.get("hidden_size_per_layer_input") or 0
    embedder = {"input_embedding": w["embed_tokens.weight"]}
    if per_layer:
        embedder |= {"per_layer_embeddings": w["embed_tokens_per_layer.weight"].reshape(-1, layers, per_layer),
                     "per_layer_model_projection": {"w": w["per_layer_model_projection.weight"].T.reshape(width, layers, per_layer)},
                     **_norms(w, "", per_layer_projection_norm="per_layer_projection_norm")}
    params = {"embedder": embedder, **_norms(w, "", final_norm="norm")}
    for i, full in enumerate(kinds):
        here, part = f"layers.{i}.", f"layers.{i}.self_attn."
        alike = full and c.get("attention_k_eq_v")
        kv_heads, d = _kv_heads(c, i, full), _head_size(c, i, full)
        own = part + "k_proj.weight" in w
        blank = np.zeros((kv_heads, width, d), np.float32)  # a layer that reads others' keys makes its own and drops them
        k = _heads(w[part + "k_proj.weight"], kv_heads) if own else blank
        attn = {"attn_vec_einsum": {"w": w[part + "o_proj.weight"].T.reshape(heads, d, width)}, "q_einsum": {"w": _heads(w[part + "q_proj.weight"], heads)},
                **_norms(w, part, query_norm="q_norm"), "key_norm": {"scale": w[part + "k_norm.weight"] if own else np.ones(d, np.float32)}}
        attn |= {"k_einsum": {"w": k}} if alike else {"kv_einsum": {"w": np.stack([k, _heads(w[part + "v_proj.weight"], kv_heads) if own else blank])}}
        layer = {"attn": attn, "skip_scale": w[here + "layer_scalar"],
                 **_norms(w, here, pre_attention_norm="input_layernorm", post_attention_norm="post_attention_layernorm", post_ffw_norm="post_feedforward_layernorm")}
        if c.get("enable_moe_block"):
            both = w[here + "experts.gate_up_proj"]
            layer |= {"mlp2": _gates(w, here + "mlp."),
                      **_norms(w, here, pre_ffw2_norm="pre_feedforward_layernorm", post_ffw2_norm="post_feedforward_layernorm_1",
                               pre_ffw_norm="pre_feedforward_layernorm_2", post_ffw1_norm="post_feedforward_layernorm_2"),
                      "mlp": {"router_logits": {"w": w[here + "router.proj.weight"].T}, "router_scale": w[here + "router.scale"],
                              "per_expert_scale": w[here + "router.per_expert_scale"],
                              "gating_einsum": {"w": both.reshape(both.shape[0], 2, -1, width)},
                              "linear": {"w": w[here + "experts.down_proj"].swapaxes(1, 2)}}}
        else:
            layer |= {"mlp": _gates(w, here + "mlp."), **_norms(w, here, pre_ffw_norm="pre_feedforward_layernorm")}
        if per_layer:
            layer |= {"per_layer_input_gate": {"w": w[here + "per_layer_input_gate.weight"].T},
                      "per_layer_projection": {"w": w[here + "per_layer_projection.weight"].T}, **_norms(w, here, post_per_layer_input_norm="post_per_layer_input_norm")}
        params[f"layer_{i}"] = layer
    return params
