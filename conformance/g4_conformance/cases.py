"""Case folders: what is in one, what an engine is given of it, and in what order its tensors are made."""

from __future__ import annotations

import fnmatch
import functools
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np

from . import tensors

LEVELS = ("operations", "text", "long", "pictures", "sound", "drafters", "tokenizer and prompts")

# What a model is for: without all of these that a case has, the case is not passed, however well the rest agrees.
_RESULTS = ("logits", "greedy_ids", "embedding", "draft.ids", "speculative_ids", "vision.soft_tokens", "audio.soft_tokens")

# case.json names tensors in the order data flows through a model. What comes after the model it names by the alphabet.
_AFTER_THE_MODEL = ("round.position", "round.first_id", "draft.inputs", "draft.final_norm", "draft.centroid_logits",
                    "draft.centroid_index", "draft.logits", "draft.ids", "draft.carried", "verify.logits",
                    "round.accepted", "round.next_id", "speculative_ids", "greedy_logits", "greedy_ids")

# The reference without something that the models are documented to do: kept for the record, asked of nobody.
_ASKED_OF_NOBODY = ("logits_forward_masks", "logits_without_the_cap", "offset.logits_exact")


# The tensors that a layer may show, in the order of a layer; in between, and shown by none, is what attention adds to the stream.
_PARTS = {"laurel": "laurel", "altup": "altup", "attn.query": "query", "attn.key": "key", "attn.value": "value", "attn.out": "attention",
          "": "added", "mlp": "feed", "moe.dense": "feed", "router.weight": "router", "router.index": "router", "moe.experts": "experts", "ple": "ple"}

# Where in a layer a mistake is seen first, by the beginning of its name; one that is not here may be seen anywhere.
_SEEN_FIRST = {
    "window": "attention", "image": "attention", "query_scaled": "attention", "query_heads": "attention", "attention_soft_cap": "attention",
    "sliding_keys": "attention", "full_keys": "attention", "query_norm": "query", "key_norm": "key", "value_norm": "value", "key_as_value": "value",
    "rope": "query key", "attention_bias": "query key value added", "norm_of_the_other": "query key value", "gelu": "feed experts ple",
    "sparsity": "feed", "double_width": "feed", "per_layer_branch": "ple", "altup_output": "ple", "altup": "altup", "laurel": "laurel",
    "router": "router", "per_expert": "router", "expert": "experts", "layer_scalar": "rest",
}
# What only scores can tell: the first row of a causal model sees one key, whatever its score.
_OF_SCORES = ("rope", "query_norm", "key_norm", "query_scaled", "attention_soft_cap")

# How many times further off, in limits, the tensor that a mistake moves most may be than the first that it moves.
_GROWTH = 1000

# Every name that README.md knows.
_A_NAME = re.compile(r"embed|per_layer_inputs|(hidden|(attn|mlp|moe|router|ple|laurel|altup|vision|audio)\.[\w.]*)(\.\d+.*)?|final_norm|logits(\.chunk\.\d+)?|"
                     r"greedy_(ids|logits)|offset\.logits|(short\.)?(pooled|dense\.\d+|embedding)|(round|draft|verify)\.\w+|speculative_ids|"
                     r"(ids|text|prompt)\..*")


def is_a_name(tensor: str) -> bool:
    """Whether any case could ask for a tensor of that name."""
    return _A_NAME.fullmatch(tensor) is not None


class BadCase(Exception):
    """A folder that is no case, or a name that no case has."""


class Case:
    """One case folder."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.name = self.folder.name
        self.about = read_json(self.folder / "case.json")
        if "outputs" not in self.about and not self.is_text and "sha256" not in self.about:
            raise BadCase(f"{self.folder / 'case.json'} names no outputs")

    def __repr__(self) -> str:
        return f"Case({self.name})"

    @property
    def content(self) -> str:
        return self.about.get("content", "")

    @property
    def family(self) -> str:
        return self.about.get("family", "")

    @property
    def is_text(self) -> bool:
        """Strings and ids, not numbers."""
        return self.about.get("kind") in ("tokenizer", "prompts")

    @property
    def needs_weights(self) -> bool:
        """A released checkpoint, which is not in the folder."""
        return "sha256" in self.about

    @functools.cached_property
    def config(self) -> dict:
        """config.json; empty where the case has no model."""
        path = self.folder / "config.json"
        return read_json(path) if path.exists() else {}

    @functools.cached_property
    def _file(self) -> dict[str, np.ndarray]:
        if self.is_text:
            from . import strings
            return strings.expected(self)
        return tensors.load(self.folder / "expected.safetensors")

    def weights(self) -> dict[str, np.ndarray]:
        """Every tensor of model.safetensors."""
        return tensors.load(self.folder / "model.safetensors")

    @functools.cached_property
    def inputs(self) -> dict[str, np.ndarray]:
        named = self.about.get("inputs", {})
        return {name: value for name, value in self._file.items() if name in named}

    @functools.cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of what is expected, in the order data flows."""
        if self.is_text:
            return tuple(self._file)
        named = list(self.about.get("outputs", {}))
        late = [name for name in _AFTER_THE_MODEL if name in named]
        return tuple([name for name in named if name not in late and name not in _ASKED_OF_NOBODY] + late)

    def expected(self, name: str) -> np.ndarray:
        return self._file[name]

    def has(self, name: str) -> bool:
        return name in self._file

    def facts(self, name: str) -> dict:
        """What case.json says of an output: shape, range, atol."""
        return self.about.get("outputs", {}).get(name, {})

    @property
    def results(self) -> tuple[str, ...]:
        """The outputs without which the case is not passed."""
        if self.is_text or self.is_operation:
            return self.outputs
        return tuple(name for name in self.outputs if name in _RESULTS) or self.outputs[-1:]

    @property
    def is_operation(self) -> bool:
        return "operation" in self.about

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels whose must-pass lists have this case, which follow from what it holds."""
        if self.is_text:
            return ("tokenizer and prompts",)
        if self.is_operation:
            return ("operations",)
        if self.needs_weights:
            return ()
        if "levels" in self.about:  # of `real`, whose prompts keep some rows wherever they are long
            return tuple(self.about["levels"])
        found = []
        if "rows" in self.about["inputs"]:
            found.append("long")
        if any(name.startswith("vision.") for name in self.outputs):
            found.append("pictures")
        if any(name.startswith("audio.") for name in self.outputs):
            found.append("sound")
        if (self.folder / "assistant").is_dir():
            found.append("drafters")
        return tuple(found) or ("text",)

    def stage(self, place: Path, lend_soft_tokens: bool = False) -> Path:
        """Copies into `place` what an engine may see: everything but the answers. Returns the copy."""
        copy = place / self.name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns("expected.safetensors", "cases.json"), copy_function=_copy)
        if self.is_text:
            from . import strings
            strings.write_questions(self, copy)
            return copy
        given = dict(self.inputs)
        if lend_soft_tokens:
            given.update((name, self.expected(name)) for name in self.lent)
        tensors.save(copy / "expected.safetensors", given)
        return copy

    @property
    def lent(self) -> tuple[str, ...]:
        """What an engine without towers is given on request."""
        return tuple(name for name in ("vision.soft_tokens", "audio.soft_tokens") if name in self.outputs)

    @property
    def _text(self) -> dict:
        return self.config.get("text_config") or self.config

    @property
    def _causal_window(self) -> int:
        """How many keys a sliding layer sees, where every row sees what is before it and nothing else; otherwise 0."""
        sees_ahead = self._text.get("use_bidirectional_attention") or {"token_type_ids", "mm_token_type_ids"} & set(self.inputs)
        return 0 if sees_ahead else self._text.get("sliding_window") or 0

    @functools.cached_property
    def full_layers(self) -> list[bool]:
        """Of every layer, whether it sees all that came before. Gemma 4 makes the last one full, whatever the file says."""
        c = self._text
        count = c.get("num_hidden_layers", 0)
        kinds = c.get("layer_types")
        pattern = c.get("sliding_window_pattern") or c.get("_sliding_window_pattern") or 1
        full = [kind == "full_attention" for kind in kinds] if kinds else [(i + 1) % pattern == 0 for i in range(count)]
        if str(c.get("model_type", "")).startswith("gemma4") and full:
            full[-1] = True
        return full

    def place(self, tensor: str, first_row: int | None, missing: list[str] = ()) -> str:
        """What is special about where a model diverges: the kind of the layer, the width of the window, the cache."""
        said, one_pass = [], "logits" in self.outputs and "logits" not in missing
        layer = re.match(r"(?:attn|mlp|moe|router|ple|laurel|altup|hidden)\.(\d+)", tensor)
        if layer and (i := int(layer[1])) < len(self.full_layers):
            full = self.full_layers
            kind = "full" if full[i] else "sliding"
            words = [f"the first {kind} layer" if i > 0 and full[i] not in full[:i] else f"a {kind} layer"]
            shared = self._text.get("num_kv_shared_layers") or 0
            if shared and i == len(full) - shared:
                words.append("the first that reads the keys of an earlier one")
            if i > 0 and i == len(full) - 1:
                words.append("the last")
            said.append(f"layer {i} is {', '.join(words[:-1])}{' and ' if len(words) > 1 else ''}{words[-1]}")
            if (window := self._causal_window) and first_row in (window - 1, window):
                said.append(f"the window is {window} wide")
        if one_pass and (chunk := re.fullmatch(r"logits\.chunk\.(\d+)", tensor)):
            said.append(f"the prompt in one pass agrees: it is what {chunk[1]} at a time make of the cache")
            if (window := self._causal_window) and first_row is not None and window - 1 <= first_row <= window + int(chunk[1]):
                said.append(f"the window is {window} wide")
        if one_pass and tensor in ("greedy_logits", "greedy_ids"):
            said.append("the prompt in one pass agrees: it is what steps through the cache make of it")
        return "; ".join(said)

    def _parts(self, tensors: list[str]) -> set[str]:
        """The parts of layers that these tensors are the first to show; none for what lies in no layer."""
        out: set[str] = set()
        c = self._text
        lacks = set() if str(c.get("model_type", "")).startswith("gemma3n") else {"laurel", "altup"}
        lacks |= set() if c.get("enable_moe_block") else {"router", "experts"}
        lacks |= set() if c.get("hidden_size_per_layer_input") else {"ple"}
        order = [part for part in (*dict.fromkeys(_PARTS.values()), "rest") if part not in lacks]
        for tensor in tensors:
            if (part := _part(tensor)) in order:
                shown = {_part(name) for name in self.outputs if stage(name) == stage(tensor)}
                out |= {part, *(before for before in order[:order.index(part)] if before not in shown)}
        return out

    def begins_like(self, tensors: list[str], first_row: int | None = None, ratio: float | None = None) -> list[str]:
        """Mistakes that, made in the reference, begin at one of these tensors; the largest first.

        In a causal model the first row that is off tells more: up to the width of a window all windows see the same, and what is
        wrong with anything else shows before. So does the size: what is off by a few limits is none of those that are off by
        thousands.
        """
        mistakes = self.about.get("checks", {}).get("mistakes", {})
        begins = {stage(tensor) for tensor in tensors}
        parts = self._parts(tensors)
        same = sorted(((m.get("tolerances") or 0, name) for name, m in mistakes.items()
                       if m.get("first") and stage(m["first"]) in begins and (not parts or _seen_first(name) & parts)), reverse=True)
        if ratio is not None:
            same = [(size, name) for size, name in same if size < (100 if ratio < 10 else _GROWTH * ratio)]
        if first_row is not None and not (ratio and ratio < 10) and (window := self._causal_window) and not tensors[-1].startswith("greedy"):
            if first_row < window - 1:
                same = [(size, name) for size, name in same if not name.startswith("window")]
                if parts and first_row < 2:
                    turned = re.fullmatch(r"attn\.\d+\.(query|key)", tensors[-1])
                    later = ("rope",) if turned else _OF_SCORES  # what leaves the first row as it is
                    same = [(size, name) for size, name in same if name.startswith(later) == (first_row == 1)]
            else:
                width = ("window_one_shorter",) if first_row == window - 1 else ("window_one_longer", "window_missing")
                same = [(size, name) for size, name in same if name in width]
        return [name.replace("_", " ") for _, name in same]


def _part(tensor: str) -> str | None:
    if re.fullmatch(r"hidden\.\d+", tensor):
        return "rest"
    found = re.fullmatch(r"(attn|mlp|moe|router|ple|laurel|altup)\.\d+\.(\w+)", tensor)
    return found and (_PARTS.get(found[1]) or _PARTS.get(f"{found[1]}.{found[2]}"))


def _seen_first(mistake: str) -> set[str]:
    """The parts of a layer at which a mistake may be seen first; all where nothing is known of it."""
    fits = [beginning for beginning in _SEEN_FIRST if mistake.startswith(beginning)]
    return set(_SEEN_FIRST[max(fits, key=len)].split()) if fits else {*_PARTS.values(), "rest"}


def stage(tensor: str) -> str:
    """`hidden.I` for what lies inside layer I, which few engines show; any other tensor is its own."""
    return re.sub(r"^(attn|mlp|moe|router|ple|laurel|altup)\.(\d+)\..*$", r"hidden.\2", tensor)


def _copy(source: str, target: str) -> None:
    """Released weights are too large to be copied for every case."""
    if os.path.getsize(source) > 64 << 20:
        os.symlink(os.path.realpath(source), target)
    else:
        shutil.copyfile(source, target)


def read_json(path: Path) -> dict:
    """An object; anything else is a sentence."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise BadCase(f"{path} cannot be read: {e.strerror or e}") from None
    except ValueError as e:
        raise BadCase(f"{path} is no JSON text: {e}") from None
    if not isinstance(read, dict):
        raise BadCase(f"{path} is no JSON object")
    return read


def home() -> Path:
    """Where the suite's own cases lie: in the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "cases"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "cases"


def every() -> list[Case]:
    return [Case(folder) for folder in sorted(home().iterdir()) if (folder / "case.json").exists()]


def select(asked: list[str], levels: list[str] = (), families: list[str] = ()) -> list[Case]:
    """Cases by name, pattern or path; without any, all that need no released weights."""
    own = every()
    chosen: list[Case] = []
    for word in asked or ["*"]:
        found = [c for c in own if fnmatch.fnmatchcase(c.name, word) and (asked or not c.needs_weights)]
        if not found and (Path(word) / "case.json").exists():
            found = [Case(Path(word))]
        if not found:
            raise BadCase(f"there is no case {word}; `g4-conformance list` names them, and a folder needs a case.json")
        chosen += [c for c in found if c not in chosen]
    for level in levels:
        if level not in LEVELS:
            raise BadCase(f"there is no level {level}; there are: {', '.join(LEVELS)}")
    if levels:
        chosen = [c for c in chosen if set(levels) & set(c.levels)]
    if families:
        known = sorted({c.family for c in own if c.family})
        for family in families:
            if family not in known:
                raise BadCase(f"there is no family {family}; there are: {', '.join(known)}")
        chosen = [c for c in chosen if c.family in families]
    return chosen
