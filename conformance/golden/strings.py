"""Tokenizer and prompt cases, out of the data of tests/text.

    python -m golden.strings          from conformance/, into cases/
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

_HERE = Path(__file__).parent.parent
_DATA = _HERE.parent / "tests" / "text" / "data"
_CASES = _HERE / "cases"


def _read(name: str) -> dict:
    return json.loads((_DATA / name).read_text(encoding="utf-8"))


def _write(name: str, about: dict, rows: dict) -> None:
    folder = _CASES / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "case.json").write_text(json.dumps({"case": name, **about}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(row, ensure_ascii=False)}" for key, row in rows.items())
    (folder / "cases.json").write_text("{\n" + lines + "\n}\n", encoding="utf-8")


def small_vocabulary() -> None:
    rows = {}
    for i, row in enumerate(_read("small_cases.json")["rows"]):
        rows[f"ids.{i}"] = {"question": {"text": row["text"], "special": True}, "answer": row["ids"]}
        if row["plain_ids"] != row["ids"]:
            rows[f"ids.{i}.plain"] = {"question": {"text": row["text"], "special": False}, "answer": row["plain_ids"]}
        rows[f"text.{i}"] = {"question": {"ids": row["ids"], "special": True}, "answer": row["decoded"]}
        if row["shown"] != row["decoded"]:
            rows[f"text.{i}.plain"] = {"question": {"ids": row["ids"], "special": False}, "answer": row["shown"]}
    _write("tokenizer-small", {
        "content": "a vocabulary of 976 pieces of the released one's kind, in tokenizer.json: byte fallback, added tokens, blanks",
        "kind": "tokenizer", "oracle": "tokenizers"}, rows)
    shutil.copyfile(_DATA / "small.json", _CASES / "tokenizer-small" / "tokenizer.json")


def released_vocabulary() -> None:
    rows = {}
    for i, row in enumerate(_read("gemma3_cases.json")["strings"]):
        if row.get("contested"):
            continue
        rows[f"ids.{i}"] = {"question": {"text": row["text"], "special": True}, "answer": row["ids"]}
        rows[f"text.{i}"] = {"question": {"ids": row["ids"], "special": True}, "answer": row["decoded"]}
        if (plain := row.get("ids_without_special_parsing_llama_cpp")) is not None:
            rows[f"ids.{i}.plain"] = {"question": {"text": row["text"], "special": False}, "answer": plain}
    _write("tokenizer-gemma3", {
        "content": "the released vocabulary of Gemma 3, which the engine has to bring; ids without bos", "family": "gemma3",
        "kind": "tokenizer", "vocabulary": "Gemma 3, 262144 pieces",
        "oracle": "two of tokenizers, llama.cpp and sentencepiece; without special tokens, llama.cpp"}, rows)


def prompts(family: str) -> None:
    said = _read("prompts.json")[family]
    rows = {}
    for row in said["rows"]:
        options = row.get("options", {"add_generation_prompt": row.get("add_generation_prompt", False)})
        rows[f"prompt.{row['name']}"] = {"question": {"messages": row["messages"], "options": options}, "answer": row["prompt"]}
    _write(f"prompts-{family}", {
        "content": "conversations as the text that the model reads", "family": family, "kind": "prompts",
        "oracle": f"the chat template ({said['template']}) rendered by Jinja2"}, rows)


if __name__ == "__main__":
    small_vocabulary()
    released_vocabulary()
    prompts("gemma3")
    prompts("gemma4")
