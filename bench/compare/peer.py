"""llama.cpp through the low-level calls of llama-cpp-python, measured as `g4 bench` measures g4. One JSON object on stdout.

  peer.py bench MODEL THREADS PROMPT GENERATE DEPTH    one run after one to warm up; tokens per second
  peer.py first MODEL THREADS IDS                      seconds from nothing loaded to the first token's logits
  peer.py logits MODEL THREADS IDS OUT                 raw float32 [tokens, vocabulary]

The interpreter and its imports are not in any time, and what they hold is given apart from the peak memory.
"""

import ctypes
import json
import resource
import sys
import time

import llama_cpp as l
import numpy as np


@l.llama_log_callback
def quiet(level, text, data):
    del level, text, data


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
    def __init__(self, path, threads, context):
        params = l.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = l.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            sys.exit(f"peer.py: llama.cpp cannot load {path}")
        params = l.llama_context_default_params()
        params.n_ctx = context
        params.n_threads = params.n_threads_batch = threads
        self.context = l.llama_init_from_model(self.model, params)
        self.vocabulary = l.llama_vocab_n_tokens(l.llama_model_get_vocab(self.model))

    def run(self, ids):
        """The logits of the last of at most n_batch ids."""
        for at in range(0, len(ids), 512):
            part = ids[at : at + 512]
            array = (l.llama_token * len(part))(*part)
            if l.llama_decode(self.context, l.llama_batch_get_one(array, len(part))) != 0:
                sys.exit("peer.py: llama_decode refused")
        l.llama_synchronize(self.context)
        return np.ctypeslib.as_array(l.llama_get_logits_ith(self.context, -1), (self.vocabulary,))

    def rewind(self, size):
        memory = l.llama_get_memory(self.context)
        if size == 0:
            l.llama_memory_clear(memory, True)
        elif not l.llama_memory_seq_rm(memory, 0, size, -1):
            sys.exit("peer.py: llama.cpp cannot rewind")

    def logits(self, ids, write):
        batch = l.llama_batch_init(64, 0, 1)
        for at in range(0, len(ids), 64):
            part = ids[at : at + 64]
            batch.n_tokens = len(part)
            for i, token in enumerate(part):
                batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, at + i, 1, 0, True
            if l.llama_decode(self.context, batch) != 0:
                sys.exit("peer.py: llama_decode refused")
            l.llama_synchronize(self.context)
            rows = ctypes.cast(l.llama_get_logits(self.context), ctypes.POINTER(ctypes.c_float))
            write(np.ctypeslib.as_array(rows, (len(part), self.vocabulary)))
        l.llama_batch_free(batch)


def main():
    what, path, threads, *rest = sys.argv[1:]
    l.llama_log_set(quiet, ctypes.c_void_p(0))
    l.llama_backend_init()
    held = resident()
    out = {"peer": "llama.cpp", "package": f"llama-cpp-python {l.__version__}", "held_before_mib": held}
    if what == "bench":
        prompt, generate, depth = map(int, rest)
        s = session(path, int(threads), depth + max(prompt, generate))
        ids = some_ids(depth + max(prompt, generate), s.vocabulary)
        for _ in range(2):
            s.rewind(0)
            if depth > 0:
                s.run(ids[:depth])
            begun = time.perf_counter()
            if prompt > 0:
                s.run(ids[depth : depth + prompt])
            for i in range(generate):
                s.run(ids[depth + i : depth + i + 1])
            seconds = time.perf_counter() - begun
        out["per_second"] = (prompt + generate) / seconds
    elif what == "first":
        ids = np.fromfile(rest[0], np.int32).tolist()
        begun = time.perf_counter()
        s = session(path, int(threads), max(256, len(ids)))
        int(s.run(ids).argmax())
        out["seconds"] = time.perf_counter() - begun
    else:
        ids = np.fromfile(rest[0], np.int32).tolist()
        s = session(path, int(threads), len(ids))
        with open(rest[1], "wb") as file:
            s.logits(ids, lambda rows: file.write(rows.tobytes()))
    out["peak_mib"] = resident()
    print(json.dumps(out))


if __name__ == "__main__":
    main()
