"""Gemma 3 270M from its quantised GGUF file, every tensor dequantised to float32, on prompts of our own."""

import hashlib
import heapq
import pathlib

import numpy as np
import torch
import transformers

from . import folder, reference, texts

NEW, TOP, EACH = 32, 50, 16


# ---------------------------------------------------------------------------------------------------------------------
# the file


class Gguf:
    def __init__(self, path):
        import gguf

        self.reader, self.dequantize = gguf.GGUFReader(path), gguf.dequantize
        self.fields = self.reader.fields

    def value(self, key):
        return self.fields[key].contents()

    def tensors(self):
        for tensor in self.reader.tensors:
            yield tensor.name, self.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


NAMES = {"attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
         "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
         "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def load(path, dtype=torch.float32):
    reference._allow_models_that_only_read_keys()
    file = Gguf(path)
    get = lambda key: file.value(f"gemma3.{key}")  # noqa: E731
    config = transformers.Gemma3TextConfig(
        vocab_size=len(file.value("tokenizer.ggml.tokens")), hidden_size=get("embedding_length"),
        intermediate_size=get("feed_forward_length"), num_hidden_layers=get("block_count"),
        num_attention_heads=get("attention.head_count"), num_key_value_heads=get("attention.head_count_kv"),
        head_dim=get("attention.key_length"), query_pre_attn_scalar=get("attention.key_length"),
        sliding_window=get("attention.sliding_window"), rms_norm_eps=float(get("attention.layer_norm_rms_epsilon")),
        max_position_embeddings=get("context_length"),
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
                         "full_attention": {"rope_type": "default", "rope_theta": float(get("rope.freq_base"))}})
    config._attn_implementation = "eager"
    state = {}
    for name, value in file.tensors():
        if name == "token_embd.weight":
            key = "model.embed_tokens.weight"
        elif name == "output_norm.weight":
            key = "model.norm.weight"
        else:
            _, layer, what, _ = name.split(".")
            key = f"model.layers.{layer}.{NAMES[what]}.weight"
        state[key] = torch.from_numpy(value - 1 if "norm" in name else value)  # the file holds 1 + w
    model = transformers.Gemma3ForCausalLM(config).eval()
    missing, unexpected = model.load_state_dict(state, strict=False)
    model.tie_weights()
    if unexpected or [k for k in missing if k != "lm_head.weight"]:
        raise SystemExit(f"{path}: missing {missing}, unexpected {unexpected}")
    if dtype == torch.float64:
        reference._to_double(model)
    return model, config


class Tokenizer:
    """SentencePiece-style BPE over the file's own pieces and scores, control tokens in the text included."""

    def __init__(self, path):
        file = Gguf(path)
        self.pieces = file.value("tokenizer.ggml.tokens")
        self.scores = file.value("tokenizer.ggml.scores")
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        kinds = file.value("tokenizer.ggml.token_type")
        self.whole = {}  # control and user-defined pieces, by first character; runs of blanks are stored as blanks
        for i, kind in enumerate(kinds):
            if kind in (3, 4):
                piece = self.pieces[i].replace(" ", "\u2581")
                self.whole.setdefault(piece[0], []).append((piece, i))
        for pieces in self.whole.values():
            pieces.sort(key=lambda entry: len(entry[0]), reverse=True)
        self.bos = file.value("tokenizer.ggml.bos_token_id")

    def encode(self, text):
        text, ids, start, i = text.replace(" ", "\u2581"), [self.bos], 0, 0
        while i < len(text):
            match = next((entry for entry in self.whole.get(text[i], ()) if text.startswith(entry[0], i)), None)
            if match is None:
                i += 1
                continue
            ids += self._merge(text[start:i]) + [match[1]]
            i += len(match[0])
            start = i
        return ids + self._merge(text[start:])

    def _merge(self, text):
        """Joins the neighbouring pair with the best score, the leftmost of equals, until no pair is a piece."""
        parts, after = list(text), list(range(1, len(text) + 1))
        before, heap = list(range(-1, len(text) - 1)), []

        def offer(left):
            right = after[left]
            if right < len(parts):
                joined = parts[left] + parts[right]
                if joined in self.ids:
                    heapq.heappush(heap, (-self.scores[self.ids[joined]], left, joined))

        for left in range(len(parts)):
            offer(left)
        while heap:
            _, left, joined = heapq.heappop(heap)
            if parts[left] is None or after[left] >= len(parts) or parts[left] + parts[after[left]] != joined:
                continue
            right = after[left]
            parts[left], parts[right] = joined, None
            after[left] = after[right]
            if after[left] < len(parts):
                before[after[left]] = left
            offer(left)
            if before[left] >= 0:
                offer(before[left])
        ids = []
        for part in parts:
            if part is None:
                continue
            ids += [self.ids[part]] if part in self.ids else [self.ids[f"<0x{b:02X}>"] for b in part.encode()]
        return ids

    def decode(self, ids):
        out = b""
        for i in ids:
            piece = self.pieces[i]
            byte = piece.startswith("<0x") and len(piece) == 6
            out += bytes([int(piece[3:5], 16)]) if byte else piece.replace("\u2581", " ").encode()
        return out.decode(errors="replace")


# ---------------------------------------------------------------------------------------------------------------------
# the case


def run(model, ids, dtype=torch.float32):
    """Taps of one prompt; the logits of every position in slices, since a whole row is a megabyte."""
    text = reference.text_model(model)
    with reference.arithmetic(dtype), reference.Taps(text) as taps:
        text(input_ids=ids[None], use_cache=False)
    final = taps.values["final_norm"]
    hidden = torch.stack([taps.values[f"hidden.{i}"][-1] for i in range(len(text.layers))])
    return {"embed": taps.values["embed"][-1], "hidden": hidden, "final_norm": final[-1]}, final


def every_position(model, final, ids):
    """Per position: the normaliser, the best logits, and the logit of the token that follows in the text."""
    total, top_ids, top_logits, following = [], [], [], []
    for start in range(0, len(final), 32):
        logits = model.lm_head(final[start:start + 32])
        total.append(torch.logsumexp(logits.double(), -1))
        best = logits.topk(EACH, dim=-1)
        top_ids.append(best.indices)
        top_logits.append(best.values)
        rows = min(len(logits), len(ids) - 1 - start)
        if rows > 0:
            following.append(logits[torch.arange(rows), ids[start + 1:start + 1 + rows]])
    return {"each_logsumexp": torch.cat(total), "each_top_ids": torch.cat(top_ids),
            "each_top_logits": torch.cat(top_logits), "each_next_logit": torch.cat(following)}


def case(out, path):
    path = pathlib.Path(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    tokenizer = Tokenizer(path)
    expected, prompts, kept = {}, [], []
    model, config = load(path)
    for i, (name, words, each) in enumerate(texts.PROMPTS):
        ids = torch.tensor(tokenizer.encode(words))
        values, final = run(model, ids)
        logits = model.lm_head(final[-1])
        best = logits.topk(TOP)
        chosen, rows = reference.greedy(model, ids, NEW)
        top5 = rows.topk(5, dim=-1)
        margins = top5.values[:, 0] - top5.values[:, 1]
        close = [int(k) for k in torch.nonzero(margins < 0.01).flatten()]
        tensors = {"input_ids": ids, **values, "top_ids": best.indices, "top_logits": best.values,
                   "logits_every_64": logits[::64], "greedy_ids": chosen, "greedy_top5_ids": top5.indices,
                   "greedy_top5_logits": top5.values}
        about = {"index": i, "name": name, "text": words, "tokens": len(ids),
                 "greedy_text": tokenizer.decode(chosen.tolist()), "greedy_min_top2_margin": float(margins.min()),
                 "first_step_with_margin_below_0_01": close[0] if close else None,
                 "hidden_max_abs": [float(row.abs().max()) for row in values["hidden"]]}
        if each:
            tensors.update(every_position(model, final, ids))
            nats = tensors["each_logsumexp"][:-1] - tensors["each_next_logit"].double()
            about["perplexity"] = float(nats.mean().exp())
        for key, value in tensors.items():
            exact = value.dtype == torch.int64
            expected[f"{i}.{key}"] = (value.to(torch.int32) if exact else value.float()).contiguous()
        prompts.append(about)
        kept.append((ids, values, logits))
    del model
    wide, _ = load(path, torch.float64)
    for about, (ids, values, logits) in zip(prompts, kept):
        exact, final = run(wide, ids, torch.float64)
        about["f32_vs_f64_max_abs_err_logits"] = float((logits.double() - wide.lm_head(final[-1])).abs().max())
        about["f32_vs_f64_max_rel_err_hidden"] = [
            float((a.double() - b).abs().max() / b.abs().max()) for a, b in zip(values["hidden"], exact["hidden"])]
    about = {
        "content": "Gemma 3 270M, Q4_K_M; the file itself is not part of the case", "family": "gemma3",
        "like": "gemma-3-270m",
        "set": "own", "model": path.name, "sha256": digest,
        "weights": "every tensor dequantised to float32; GGUF norm weights hold 1+w", "compute_dtype": "float32",
        "transformers": transformers.__version__, "torch": torch.__version__,
        "suggested_tolerance": {"logits_atol": 0.002, "hidden_rtol_of_max_abs": 0.0001},
        "tensors": {
            "<i>.input_ids": "prompt ids incl. bos", "<i>.embed": "scaled embedding of the last prompt token",
            "<i>.hidden": "[18,640] last-token output of each decoder layer",
            "<i>.final_norm": "last-token output of the final norm",
            "<i>.top_ids/.top_logits": "50 largest logits at the last prompt position, descending",
            "<i>.logits_every_64": "logits[0::64] at the last prompt position",
            "<i>.greedy_ids": "32 greedily decoded ids through a KV cache, not stopped by eos",
            "<i>.greedy_top5_ids/.greedy_top5_logits": "[32,5] per decode step",
            "<i>.each_logsumexp": "[T] log of the sum of exp(logits), at every position; long texts only",
            "<i>.each_top_ids/.each_top_logits": "[T,16] largest logits at every position, descending",
            "<i>.each_next_logit": "[T-1] logit of the token that follows in the text"},
        "config": {k: v for k, v in config.to_dict().items() if k in (
            "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
            "intermediate_size", "vocab_size", "sliding_window", "layer_types", "rope_parameters",
            "query_pre_attn_scalar", "rms_norm_eps", "final_logit_softcapping")},
        "prompts": prompts}
    out.mkdir(parents=True, exist_ok=True)
    folder.write_tensors(out / "expected.safetensors", expected)
    folder.write_about(out / "case.json", {"case": out.name, **about})
    return f"{len(prompts)} prompts, {[p['tokens'] for p in prompts]} tokens"
