#!/usr/bin/env python3
"""Makes the seeds of the fuzz targets in corpus/NAME: small files, sound ones and some with one thing wrong.

    python3 tests/fuzz/make_corpus.py [NAME]...        (needs nothing but Python)

A function `NAME()` below yields (file name, bytes) for the target NAME.
"""
import json
import pathlib
import random
import struct
import sys

HERE = pathlib.Path(__file__).parent


def noise(count, seed=1):
    return random.Random(seed).randbytes(count)


# ---- safetensors -----------------------------------------------------------------------------------------------------


def safetensors_file(tensors, metadata=None, pad=0):
    """tensors: name → (dtype, shape, bytes)"""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode() + b" " * pad
    return struct.pack("<Q", len(text)) + text + data


def safetensors():
    plain = {
        "model.embed_tokens.weight": ("BF16", [8, 4], noise(64)),
        "model.norm.weight": ("F32", [4], noise(16)),
        "model.layers.0.layer_scalar": ("F16", [], noise(2)),
        "masked_embedding.token_ordering": ("I64", [2], noise(16)),
    }
    sound = safetensors_file(plain, {"format": "pt"}, pad=5)
    yield "plain", sound
    yield "empty", safetensors_file({})
    yield "no_elements", safetensors_file({"a": ("F32", [0, 3], b""), "b": ("U8", [1], b"x")})
    yield "wide_types", safetensors_file({"a": ("F4", [2, 4], noise(4)), "b": ("F6_E2M3", [8], noise(6)), "c": ("BOOL", [3], b"\0\1\0")})
    yield "rank_eight", safetensors_file({"a": ("F32", [1] * 8, noise(4))})
    yield "cut_short", sound[:-3]
    yield "trailing", sound + b"more"
    yield "overlap", sound.replace(b"[64,80]", b"[60,76]")
    yield "hole", sound.replace(b"[80,82]", b"[81,83]")
    yield "escaped_name", safetensors_file({"a\u00e9\n": ("U8", [1], b"x")})
    yield "large_numbers", safetensors_file({"a": ("F32", [2**63, 2**63], b"")})
    yield "nested", struct.pack("<Q", 64) + b'{"a":' + b"[" * 59


def safetensors_index():
    weight_map = {f"model.layers.{i}.weight": f"model-0000{1 + i // 2}-of-00002.safetensors" for i in range(4)}
    sound = {"metadata": {"total_size": 1234, "more": [None, 1.5, {"a": True}]}, "weight_map": weight_map}
    yield "sound", json.dumps(sound).encode()
    yield "empty", b'{"weight_map":{}}'
    yield "no_map", b'{"metadata":{}}'
    yield "way_out", b'{"weight_map":{"a":"../../etc/passwd"}}'
    yield "wrong_types", b'{"weight_map":{"a":[1,{"b":2}]},"metadata":3}'


def json_documents():
    return {
        "config": {
            "architectures": ["Gemma3ForCausalLM"], "head_dim": 256, "hidden_size": 640, "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
            "rms_norm_eps": 1e-06, "rope_scaling": None, "use_cache": True, "vocab_size": 262144, "text_config": {"negative": -1},
        },
        "strings": ["", "\u00e9\n\"\\", "\U0001f600", {"": ""}],
        "numbers": [0, -0.0, 1e300, -9223372036854775808, 18446744073709551615, 1e-310],
    }  # fmt: skip


# ---- JSON ------------------------------------------------------------------------------------------------------------


def json_():
    for name, document in json_documents().items():
        yield name, json.dumps(document, indent=1 if name == "config" else None).encode()
    yield "repeated_key", b'{"a":1,"a":2}'
    yield "deep", b"[" * 40
    yield "bad_utf8", b'"\xff\xc3"'
    yield "huge_number", b"[1e999," + b"9" * 400 + b"]"


# ---- GGUF ------------------------------------------------------------------------------------------------------------

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q", I64: "<q", F64: "<d"}
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 11: (256, 110),
          12: (256, 144), 13: (256, 176), 14: (256, 210), 27: (1, 8), 30: (1, 2), 39: (32, 17)}  # fmt: skip


def text(s):
    raw = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, content):
    if kind == STRING:
        return text(content)
    if kind == ARRAY:
        element, items = content
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, item) for item in items)
    return struct.pack(PACK[kind], content)


def gguf_file(keys, tensors, version=3, alignment=32):
    """keys: (name, type, value);  tensors: name → (type, sizes innermost first)"""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    for name, kind, content in keys:
        out += text(name) + struct.pack("<I", kind) + value(kind, content)
    data = b""
    for name, (kind, sizes) in tensors.items():
        out += text(name) + struct.pack("<I", len(sizes)) + b"".join(struct.pack("<Q", size) for size in sizes)
        out += struct.pack("<IQ", kind, len(data))
        elements, size = BLOCKS[kind]
        count = 1
        for s in sizes:
            count *= s
        data += noise(count // elements * size, seed=kind)
        data += b"\0" * (-len(data) % alignment)
    return out + b"\0" * (-len(out) % alignment) + data


def gguf():
    keys = [
        ("general.architecture", STRING, "gemma3"),
        ("gemma3.block_count", U32, 2),
        ("gemma3.rope.freq_base", F32, 1e6),
        ("tokenizer.ggml.add_bos_token", BOOL, 1),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, ["<pad>", "", "\u2581the", "a"])),
        ("tokenizer.ggml.scores", ARRAY, (F32, [0.0, -1.0, -2.0, float("-inf")])),
        ("tokenizer.ggml.token_type", ARRAY, (I32, [3, 1, 1, -1])),
    ]
    every = [(f"k{kind}", kind, 1) for kind in PACK] + [(f"a{kind}", ARRAY, (kind, [0, 1])) for kind in PACK]
    one_of_each = {f"t{kind}.weight": (kind, [256]) for kind in BLOCKS}
    sound = gguf_file(keys, {"token_embd.weight": (8, [32, 4]), "output_norm.weight": (0, [32])})
    yield "model", sound
    yield "every_key", gguf_file(every, {})
    for kind in BLOCKS:
        yield f"type_{kind}", gguf_file([], {f"t{kind}": (kind, [BLOCKS[kind][0], 2])})
    yield "types", gguf_file([], one_of_each)
    yield "version_2", gguf_file(keys[:2], {"a": (0, [2, 1, 1, 2])}, version=2)
    yield "aligned_64", gguf_file([("general.alignment", U32, 64)], {"a": (0, [3]), "b": (0, [3])}, alignment=64)
    yield "cut_short", sound[:-40]
    yield "cut_in_keys", sound[:200]
    yield "big_endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    yield "nested_array", gguf_file([("k", ARRAY, (ARRAY, [(U8, [1])]))], {})
    yield "large_counts", b"GGUF" + struct.pack("<IQQ", 3, 65536, 65536)
    yield "large_array", gguf_file([], {})[:16] + struct.pack("<Q", 1) + text("k") + struct.pack("<IIQ", ARRAY, STRING, 2**61)


# ---- configurations --------------------------------------------------------------------------------------------------


def config():
    """What tests/load reads, and one of each kind that says nothing."""
    for path in sorted((HERE.parent / "load" / "data" / "small").glob("*.json")):
        yield path.stem, path.read_bytes()
    for kind in ("gemma3_text", "gemma3", "gemma3n", "gemma4", "gemma4_unified", "gemma4_assistant"):
        yield f"empty_{kind}", json.dumps({"model_type": kind}).encode()


def gguf_config():
    def model(arch, more, tensors):
        keys = {"block_count": (U32, 6), "embedding_length": (U32, 32), "attention.layer_norm_rms_epsilon": (F32, 1e-6),
                "attention.head_count": (U32, 2), "attention.head_count_kv": (U32, 1), "attention.key_length": (U32, 16),
                "attention.value_length": (U32, 16), "attention.sliding_window": (U32, 8), "feed_forward_length": (U32, 32),
                "rope.freq_base": (F32, 1e6), "rope.freq_base_swa": (F32, 1e4)} | more  # fmt: skip
        named = [("general.architecture", STRING, arch)] + [(f"{arch}.{k}", t, v) for k, (t, v) in keys.items()]
        return gguf_file(named, {"token_embd.weight": (0, [32, 4])} | tensors)

    local = (ARRAY, (BOOL, [1, 1, 1, 1, 1, 0]))
    sizes = {"attention.key_length_swa": (U32, 8), "attention.value_length_swa": (U32, 8)}
    freqs = {"rope_freqs.weight": (0, [8])}
    per_layer = {"per_layer_token_embd.weight": (0, [24, 4])}
    yield "gemma3", model("gemma3", {"rope.scaling.type": (STRING, "linear"), "rope.scaling.factor": (F32, 8.0)}, {})
    yield "embedding", model("gemma-embedding", {}, {})
    yield "gemma3n", model("gemma3n", {"attention.shared_kv_layers": (U32, 0), "altup.num_inputs": (U32, 4), "altup.active_idx": (U32, 0),
                           "embedding_length_per_layer_input": (U32, 4), "attention.sliding_window_pattern": local,
                           "activation_sparsity_scale": (ARRAY, (F32, [1.6448536, 0.0, float("-inf")] * 2))},
                           per_layer | {"blk.0.laurel_l.weight": (0, [32, 2])})  # fmt: skip
    yield "gemma4", model("gemma4", sizes | {"attention.sliding_window_pattern": local, "attention.shared_kv_layers": (U32, 0),
                          "embedding_length_per_layer_input": (U32, 4), "final_logit_softcapping": (F32, 30.0)}, per_layer)  # fmt: skip
    yield "gemma4_experts", model("gemma4", sizes | {"attention.sliding_window_pattern": local, "expert_count": (U32, 4),
                                  "expert_used_count": (U32, 2), "expert_feed_forward_length": (U32, 8),
                                  "attention.head_count_kv": (ARRAY, (U32, [1, 1, 1, 1, 1, 2]))},
                                  {"blk.5.attn_k.weight": (0, [32, 16])})  # fmt: skip
    yield "assistant", model("gemma4-assistant", sizes | {"attention.sliding_window_pattern": local, "embedding_length_out": (U32, 64)},
                             {"masked_embd_centroids.weight": (0, [32, 2])})  # fmt: skip
    yield "noise_in_freqs", model("gemma4", sizes | {"attention.sliding_window_pattern": local}, freqs)


TARGETS = {"safetensors": safetensors, "safetensors_index": safetensors_index, "json": json_, "gguf": gguf, "config": config,
           "gguf_config": gguf_config}

for target in sys.argv[1:] or TARGETS:
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in TARGETS[target]():
        (folder / name).write_bytes(content)
