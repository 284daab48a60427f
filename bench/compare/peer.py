"""A peer through the low-level calls of its Python package, measured as `g4 bench` measures g4. One JSON object on stdout.

  peer.py PEER bench MODEL THREADS PROMPT GENERATE DEPTH    one run after one to warm up; tokens per second
  peer.py PEER texts MODEL THREADS TEXTS GENERATE DEPTH     the same of texts that decode together, a token each a step
  peer.py PEER first MODEL THREADS IDS                      seconds from nothing loaded to the first token's logits
  peer.py PEER logits MODEL THREADS IDS OUT                 raw float32 [tokens, vocabulary]

PEER is llama.cpp (llama-cpp-python) or ik_llama.cpp (ik-llama-cpp-python; weights repacked as they are loaded, and flash
attention, with which it cannot run several texts). The interpreter and its imports are not in any time, and what they hold is
given apart from the peak memory.
"""

import ctypes
import importlib
import importlib.metadata
import json
import os
import resource
import sys
import time

import numpy as np


class llama_cpp_calls:
    """What differs between the two packages, in terms of llama.cpp's."""

    package = "llama-cpp-python"

    def __init__(self):
        self.l = importlib.import_module("llama_cpp")
        self.quiet = self.l.llama_log_callback(lambda level, text, data: None)
        self.l.llama_log_set(self.quiet, ctypes.c_void_p(0))

    def fast(self, model=None, context=None, texts=1):
        """Its defaults are its best."""

    def batch(self, ids, at):
        del at
        self.held = (self.l.llama_token * len(ids))(*ids)  # the batch points to it
        return self.l.llama_batch_get_one(self.held, len(ids))

    def finish(self, context):
        self.l.llama_synchronize(context)

    def forget(self, context):
        self.l.llama_memory_clear(self.l.llama_get_memory(context), True)

    def all_logits(self, context, rows, vocabulary):
        first = ctypes.cast(self.l.llama_get_logits(context), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(first, (rows, vocabulary))


class ik_llama_cpp_calls(llama_cpp_calls):
    package = "ik-llama-cpp-python"

    def __init__(self):
        self.l = importlib.import_module("ik_llama_cpp._ctypes_api")
        self.l.llama_token = ctypes.c_int32
        # It has no call to quiet it: what it reports goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    def fast(self, model=None, context=None, texts=1):
        if model is not None:
            model.repack_tensors = model.flash_attn = True
        if context is not None:
            context.flash_attn = texts == 1  # with several it ends the process: "GGML_ASSERT(S > 0) failed"

    def batch(self, ids, at):
        array = (ctypes.c_int32 * len(ids))(*ids)
        return self.l.llama_batch(n_tokens=len(ids), token=array, all_pos_0=at, all_pos_1=1, all_seq_id=0)

    def finish(self, context):
        """Its decode has waited already."""

    def forget(self, context):
        self.l.llama_kv_cache_clear(context)

    def all_logits(self, context, rows, vocabulary):
        return np.stack([np.ctypeslib.as_array(self.l.llama_get_logits_ith(context, i), (vocabulary,)) for i in range(rows)])


PEERS = {"llama.cpp": llama_cpp_calls, "ik_llama.cpp": ik_llama_cpp_calls}


def resident():
    """MiB that were held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def some_ids(count, vocabulary):
    """The ids of `g4 bench`."""
    ids, state = [], 42
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        ids.append((state >> 33) % vocabulary)
    return ids


class session:
    def __init__(self, calls, path, threads, context, texts=1):
        self.calls, self.l, self.size = calls, calls.l, 0
        params = self.l.llama_model_default_params()
        params.n_gpu_layers = 0
        calls.fast(model=params)
        self.model = self.l.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            sys.exit(f"peer.py: the peer cannot load {path}")
        params = self.l.llama_context_default_params()
        params.n_ctx, params.n_seq_max = context * texts, texts
        params.n_threads = params.n_threads_batch = threads
        calls.fast(context=params, texts=texts)
        self.context = self.l.llama_init_from_model(self.model, params)
        self.vocabulary = self.l.llama_vocab_n_tokens(self.l.llama_model_get_vocab(self.model))

    def run(self, ids):
        """The logits of the last of at most n_batch ids."""
        for first in range(0, len(ids), 512):
            part = ids[first : first + 512]
            if self.l.llama_decode(self.context, self.calls.batch(part, self.size)) != 0:
                sys.exit("peer.py: llama_decode refused")
            self.size += len(part)
        self.calls.finish(self.context)
        return np.ctypeslib.as_array(self.l.llama_get_logits_ith(self.context, -1), (self.vocabulary,))

    def forget(self):
        self.calls.forget(self.context)
        self.size = 0

    def decode(self, batch, rows):
        """Rows of (token, position, text), the logits of each wanted."""
        batch.n_tokens = len(rows)
        for i, (token, position, text) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, position, 1, text, True
        if self.l.llama_decode(self.context, batch) != 0:
            sys.exit("peer.py: llama_decode refused")
        self.calls.finish(self.context)

    def logits(self, ids, write):
        batch = self.l.llama_batch_init(64, 0, 1)
        for at in range(0, len(ids), 64):
            part = ids[at : at + 64]
            self.decode(batch, [(token, at + i, 0) for i, token in enumerate(part)])
            write(self.calls.all_logits(self.context, len(part), self.vocabulary))
        self.l.llama_batch_free(batch)

    def together(self, texts, generate, depth):
        """Seconds of `generate` steps of `texts` texts that each have `depth` ids behind them."""
        self.forget()
        ids, batch = some_ids(texts * (depth + generate), self.vocabulary), self.l.llama_batch_init(max(texts, 64), 0, 1)
        for text in range(texts):
            for at in range(0, depth, 64):
                self.decode(batch, [(ids[text * depth + i], i, text) for i in range(at, min(at + 64, depth))])
        begun = time.perf_counter()
        for i in range(generate):
            self.decode(batch, [(ids[texts * (depth + i) + text], depth + i, text) for text in range(texts)])
        seconds = time.perf_counter() - begun
        self.l.llama_batch_free(batch)
        return seconds


def main():
    peer, what, path, threads, *rest = sys.argv[1:]
    calls = PEERS[peer]()
    calls.l.llama_backend_init()
    held = resident()
    out = {"peer": peer, "package": f"{calls.package} {importlib.metadata.version(calls.package)}", "held_before_mib": held}
    if what == "bench":
        prompt, generate, depth = map(int, rest)
        s = session(calls, path, int(threads), depth + max(prompt, generate))
        ids = some_ids(depth + max(prompt, generate), s.vocabulary)
        for _ in range(2):
            s.forget()
            if depth > 0:
                s.run(ids[:depth])
            begun = time.perf_counter()
            if prompt > 0:
                s.run(ids[depth : depth + prompt])
            for i in range(generate):
                s.run(ids[depth + i : depth + i + 1])
            seconds = time.perf_counter() - begun
        out["per_second"] = (prompt + generate) / seconds
    elif what == "texts":
        texts, generate, depth = map(int, rest)
        s = session(calls, path, int(threads), depth + generate, texts)
        seconds = [s.together(texts, generate, depth) for _ in range(2)][-1]
        out["per_second"] = texts * generate / seconds
    elif what == "first":
        ids = np.fromfile(rest[0], np.int32).tolist()
        begun = time.perf_counter()
        s = session(calls, path, int(threads), max(256, len(ids)))
        int(s.run(ids).argmax())
        out["seconds"] = time.perf_counter() - begun
    else:
        ids = np.fromfile(rest[0], np.int32).tolist()
        s = session(calls, path, int(threads), len(ids))
        with open(rest[1], "wb") as file:
            s.logits(ids, lambda rows: file.write(rows.tobytes()))
    out["peak_mib"] = resident()
    print(json.dumps(out))


if __name__ == "__main__":
    main()
