#!/usr/bin/env python3
"""Makes data/blocks.safetensors: random blocks of every storage, and what the gguf package says they mean.

    python3 tests/io/make_blocks.py        (needs numpy, gguf, safetensors)

Tensors: NAME.blocks  U8 [rows, bytes]  and  NAME.values  F32 [rows, elements], for every storage g4 reads.
"""
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as ggml
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES
from safetensors.numpy import save_file

# Where the half-float scales of a block lie; every other bit of a block may be anything.
SCALES = {
    ggml.F32: [], ggml.F16: [], ggml.BF16: [],
    ggml.Q4_0: [0], ggml.Q4_1: [0, 2], ggml.Q5_0: [0], ggml.Q5_1: [0, 2], ggml.Q8_0: [0],
    ggml.Q4_K: [0, 2], ggml.Q5_K: [0, 2], ggml.Q6_K: [208],
    ggml.Q2_K: [80, 82], ggml.Q3_K: [108], ggml.IQ4_NL: [0], ggml.IQ4_XS: [0], ggml.MXFP4: [],
}  # fmt: skip
ROWS, BLOCKS_PER_ROW = 3, 2

random = np.random.default_rng(20240607)
out = {}
for kind, scales in SCALES.items():
    elements, size = GGML_QUANT_SIZES[kind]
    blocks_per_row = BLOCKS_PER_ROW if elements > 1 else 64
    blocks = random.integers(0, 256, (ROWS * blocks_per_row, size), dtype=np.uint8)
    for i, at in enumerate(scales):
        # Half floats of every size, subnormal ones and both signs among them, but finite.
        bits = random.integers(0, 0x7C00, len(blocks), dtype=np.uint16)
        bits[0] = 0x0001 + i
        bits |= random.integers(0, 2, len(blocks), dtype=np.uint16) << np.uint16(15)
        blocks[:, at : at + 2] = bits.view(np.uint8).reshape(-1, 2)
    if kind == ggml.MXFP4:
        blocks[:, 0] = random.integers(0, 253, len(blocks), dtype=np.uint8)  # a power of two; finite six times over
        blocks[:2, 0] = 0, 1
    elif not scales:
        blocks[:, -1] &= 0xBF  # clear the exponent's upper bit: finite
    rows = blocks.reshape(ROWS, -1)
    values = quants.dequantize(rows, kind) if kind != ggml.F32 else rows.view(np.float32)
    out[f"{kind.name}.blocks"] = rows
    out[f"{kind.name}.values"] = np.ascontiguousarray(values, dtype=np.float32).reshape(ROWS, -1)
    assert np.isfinite(out[f"{kind.name}.values"]).all(), kind
save_file(out, pathlib.Path(__file__).parent / "data" / "blocks.safetensors")
