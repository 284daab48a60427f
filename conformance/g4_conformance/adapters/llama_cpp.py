"""llama.cpp on the CPU, through cyllama, a Python package that has it inside: Gemma 3 text from GGUF files in F32, which are
made of the cases here.

    g4-conformance run --engine g4_conformance.adapters.llama_cpp:F32         keys and values in F32
                                                              :HalfCache     in F16, as llama.cpp has them by itself

llama.cpp works some facts out for itself, from the size of the model, and a file cannot say otherwise: every sixth layer is
full, and queries are scaled by the root of the head size. Cases in which that is not so are not applicable.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from .. import NotApplicable

_NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
          "post_feedforward_layernorm": "post_ffw_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
          "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
          "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


class F32:
    cache = 0  # ggml's number of the type

    def __init__(self):
        try:
            import gguf
            from cyllama.llama import llama_cpp
        except ImportError as e:
            raise NotApplicable(f"needs the packages cyllama and gguf: {e}") from None
        self.gguf, self.llama = gguf, llama_cpp

    def run(self, case):
        config = self._config(case)
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "model.gguf"
            self._write(path, case, config)
            ids = [int(i) for i in case.inputs["input_ids"]]
            count = case.about.get("new_tokens") or 0
            llama = self.llama
            how = llama.LlamaModelParams()
            how.n_gpu_layers, how.use_mmap = 0, False
            whole = type("Model", (llama.LlamaModel,), {"n_vocab": config["vocab_size"]})  # which cyllama asks for and lacks
            model = whole(str(path), how, verbose=False)
            context = llama.LlamaContextParams()
            context.n_ctx, context.n_batch, context.n_ubatch = len(ids) + count + 8, len(ids) + 8, len(ids) + 8
            context.type_k = context.type_v = self.cache
            context.flash_attn_type, context.n_threads, context.n_threads_batch = 0, 1, 1
            context.swa_full = True
            running = llama.LlamaContext(model, context, verbose=False)
            logits = self._logits(running, ids, 0, config["vocab_size"])
            rows, chosen = [logits[-1]], []
            for i in range(count):
                chosen.append(int(np.argmax(rows[-1])))
                if i + 1 < count:
                    rows.append(self._logits(running, [chosen[-1]], len(ids) + i, config["vocab_size"])[-1])
            running.close()
            model.close()
        if "rows" in case.inputs:
            logits = logits[case.inputs["rows"]]
        return {"logits": logits, "greedy_ids": np.array(chosen, np.int32), "greedy_logits": np.stack(rows)}

    def _logits(self, running, ids, at, vocab):
        batch = self.llama.LlamaBatch(n_tokens=len(ids), embd=0, n_seq_max=1, verbose=False)
        for i, token in enumerate(ids):
            batch.add(token, at + i, [0], True)
        running.decode(batch)
        rows = np.stack([np.asarray(running.get_logits_ith(i), np.float32)[:vocab] for i in range(len(ids))])
        batch.close()
        return rows

    @staticmethod
    def _config(case):
        if not case.config:
            raise NotApplicable("this adapter runs whole models")
        c = case.config
        if c.get("architectures") != ["Gemma3ForCausalLM"] or c.get("text_config"):
            raise NotApplicable("this adapter runs Gemma 3 text")
        pattern = c.get("sliding_window_pattern") or c.get("_sliding_window_pattern")
        kinds = c.get("layer_types") or ["full_attention" if (i + 1) % pattern == 0 else "sliding_attention" for i in range(c["num_hidden_layers"])]
        if any((kind == "full_attention") != ((i + 1) % 6 == 0) for i, kind in enumerate(kinds)):
            raise NotApplicable("llama.cpp has every sixth layer full, and the file cannot say otherwise")
        if c["query_pre_attn_scalar"] != c["head_dim"]:
            raise NotApplicable("llama.cpp scales queries by the head size in all models but that of 62 layers")
        if c.get("attn_logit_softcapping") or c.get("attention_bias"):
            raise NotApplicable("llama.cpp's Gemma 3 has no cap on scores and no biases")
        ropes = c.get("rope_parameters") or {}
        full = ropes.get("full_attention") or {"rope_theta": c.get("rope_theta"), **(c.get("rope_scaling") or {})}
        local = ropes.get("sliding_attention", {}).get("rope_theta", c.get("rope_local_base_freq"))
        return {**c, "full": full, "local": local}

    def _write(self, path, case, c):
        writer = self.gguf.GGUFWriter(str(path), "gemma3")
        writer.add_context_length(c["max_position_embeddings"])
        writer.add_embedding_length(c["hidden_size"])
        writer.add_block_count(c["num_hidden_layers"])
        writer.add_feed_forward_length(c["intermediate_size"])
        writer.add_head_count(c["num_attention_heads"])
        writer.add_head_count_kv(c["num_key_value_heads"])
        writer.add_key_length(c["head_dim"])
        writer.add_value_length(c["head_dim"])
        writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
        writer.add_sliding_window(c["sliding_window"])
        writer.add_rope_freq_base(c["full"]["rope_theta"])
        writer.add_float32("gemma3.rope.freq_base_swa", c["local"])
        if c["full"].get("factor"):
            writer.add_rope_scaling_type(self.gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(c["full"]["factor"])
        if c.get("final_logit_softcapping"):
            writer.add_final_logit_softcapping(c["final_logit_softcapping"])
        writer.add_tokenizer_model("no_vocab")
        writer.add_vocab_size(c["vocab_size"])
        for name, value in case.weights().items():
            name = name.removeprefix("model.")
            value = np.ascontiguousarray(value, np.float32)
            if "norm" in name:
                value = value + np.float32(1)  # such a file holds the factor itself
            stem = name.removesuffix(".weight")
            if stem.startswith("layers."):
                _, layer, part = stem.split(".", 2)
                name = f"blk.{layer}.{_NAMES[part]}.weight"
            else:
                name = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}[stem] + ".weight"
            writer.add_tensor(name, value)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


class HalfCache(F32):
    cache = 1
