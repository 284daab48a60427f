"""Tokenizer and prompt cases: strings instead of numbers. Ids are rows of integers, texts are rows of UTF-8 bytes.

A tokenizer case asks for `ids.NAME`, the ids of a text without bos, and `text.NAME`, the bytes of a row of ids. A prompt case
asks for `prompt.NAME`, the bytes of the text that a conversation becomes. The questions lie in questions.json:

    {"ids.0": {"text": "…"}, "text.0": {"ids": […]}, "prompt.single": {"messages": […], "options": {…}}}
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def _rows(case) -> dict:
    return json.loads((case.folder / "cases.json").read_text(encoding="utf-8"))


def questions(case) -> dict[str, dict]:
    return {name: row["question"] for name, row in _rows(case).items()}


def expected(case) -> dict[str, np.ndarray]:
    return {name: as_row(row["answer"]) for name, row in _rows(case).items()}


def as_row(answer: str | list[int]) -> np.ndarray:
    return np.frombuffer(answer.encode("utf-8"), np.uint8) if isinstance(answer, str) else np.array(answer, np.int32)


def write_questions(case, folder: Path) -> None:
    (folder / "questions.json").write_text(json.dumps(questions(case), ensure_ascii=False, indent=1), encoding="utf-8")


def difference(case, name: str, found: np.ndarray) -> str:
    """Where two rows part."""
    wanted = case.expected(name)
    at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
    if wanted.dtype == np.uint8:
        show = lambda row: repr(bytes(row[max(0, at - 20) : at + 40].astype(np.uint8)).decode("utf-8", "replace"))
        return f"differs at byte {at}: {show(found)}, where {show(wanted)} is expected"
    question = _rows(case)[name]["question"]
    show = lambda row: str([int(i) for i in row[max(0, at - 2) : at + 4]])
    return f"of {json.dumps(question, ensure_ascii=False)[:120]} differs at {at}: {show(found)}, where {show(wanted)} is expected"
