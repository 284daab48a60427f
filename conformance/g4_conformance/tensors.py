"""Safetensors files with NumPy alone. bfloat16, which NumPy lacks, is read as float32; a damaged file is a sentence."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np

_TYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64, "I32": np.int32,
    "I16": np.int16, "I8": np.int8, "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8, "BOOL": np.bool_,
}
_NAMES = {np.dtype(t): n for n, t in _TYPES.items() if n != "BF16"}
_LONGEST_HEADER = 100 << 20


class Damaged(ValueError):
    """A file that is no safetensors file; the text names it and says what is wrong."""


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Every tensor of a file, by name."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as e:
        raise Damaged(f"{path.name} cannot be read: {e.strerror or e}") from None
    if len(data) < 8:
        raise Damaged(f"{path.name} has {len(data)} bytes, and is no safetensors file")
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, _LONGEST_HEADER):
        raise Damaged(f"{path.name} has {len(data)} bytes and says that its header has {length}")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"))
    except ValueError:
        raise Damaged(f"{path.name}: its header is no JSON text") from None
    if not isinstance(header, dict):
        raise Damaged(f"{path.name}: its header is no JSON object")
    body = memoryview(data)[8 + length :]
    return {name: _tensor(path.name, name, entry, body) for name, entry in header.items() if name != "__metadata__"}


def _tensor(file: str, name: str, entry: object, body: memoryview) -> np.ndarray:
    where = f"{file}: {name}"
    if not isinstance(entry, dict):
        raise Damaged(f"{where}: its entry is no JSON object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise Damaged(f"{where} is of type {dtype!r}; this suite reads {', '.join(_TYPES)}")
    counts = lambda x: isinstance(x, list) and all(type(n) is int and n >= 0 for n in x)
    if not counts(shape):
        raise Damaged(f"{where} has the shape {shape!r}")
    if not counts(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= len(body):
        raise Damaged(f"{where} lies at {offsets!r} of {len(body)} bytes")
    size = math.prod(shape) * np.dtype(_TYPES[dtype]).itemsize
    if offsets[1] - offsets[0] != size:
        raise Damaged(f"{where} has {offsets[1] - offsets[0]} bytes; {dtype} {shape} needs {size}")
    flat = np.frombuffer(body[offsets[0] : offsets[1]], dtype=_TYPES[dtype])
    if dtype == "BF16":
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return flat.reshape(shape)


def save(path: str | os.PathLike, tensors: dict[str, np.ndarray]) -> None:
    """Writes a file, whole or not at all."""
    header, parts, at = {}, [], 0
    for name, value in tensors.items():
        array = np.asarray(value)
        if array.dtype not in _NAMES:
            raise TypeError(f"{name} is of type {array.dtype}, which a safetensors file cannot hold")
        part = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    fresh = f"{os.fspath(path)}.part"
    with open(fresh, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(parts)
    os.replace(fresh, path)
