"""Holds what an engine wrote against what a case expects: a finding per tensor, and the first that diverged."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from .cases import Case, is_a_name

# The budget for arithmetic that rounds on purpose (README, "Arithmetic that rounds on purpose").
ROUNDED_RELATIVE = 1e-2
ROUNDED_DIVERGENCE = 1e-4

BUDGETS = ("float32", "rounded")


@dataclasses.dataclass
class Finding:
    """One tensor. `ratio` is the worst element's error over its limit; above 1 it has diverged."""

    tensor: str
    verdict: str  # ok, diverged, missing, lent, left out
    ratio: float | None = None
    error: float | None = None
    limit: float | None = None
    where: list[int] | None = None  # of the worst element
    first_row: int | None = None  # the first row with an element beyond its limit
    why: str = ""


@dataclasses.dataclass
class Judgement:
    findings: list[Finding]
    unknown: list[str]

    @property
    def first(self) -> Finding | None:
        return next((f for f in self.findings if f.verdict == "diverged"), None)

    @property
    def may_begin_at(self) -> list[str]:
        """The first to diverge, and in front of it what was not written: the last is the first to diverge."""
        names: list[str] = []
        for f in self.findings:
            names = names + [f.tensor] if f.verdict in ("missing", "diverged") else []
            if f.verdict == "diverged":
                return names
        return []

    @property
    def missing(self) -> list[str]:
        return [f.tensor for f in self.findings if f.verdict == "missing"]


def judge(case: Case, found: dict[str, np.ndarray], budget: str = "float32", lent: tuple[str, ...] = ()) -> Judgement:
    findings = []
    for name in case.outputs:
        findings.append(_finding(case, name, found, budget, lent))
        if name == "logits":  # in front of the continuation: what chunks make of a cache, its steps go on with
            findings += [_numbers(case, name, found[chunked], budget, label=chunked) for chunked in _chunked(found)]
    if budget == "rounded" and "logits" in found and (logits := _rows_kept(case, "logits", found["logits"])).shape == case.expected("logits").shape:
        divergence = mean_divergence(case.expected("logits"), logits)
        ratio = divergence / ROUNDED_DIVERGENCE if np.isfinite(divergence) else np.inf
        findings.append(Finding("logits (mean KL)", "ok" if ratio <= 1 else "diverged", ratio, divergence, ROUNDED_DIVERGENCE,
                                why="" if ratio <= 1 else f"is {divergence:.2e}; the budget is {ROUNDED_DIVERGENCE:.0e}"))
    return Judgement(findings, sorted(name for name in found if not is_a_name(name) and not case.has(name)))


def _chunked(found: dict) -> list[str]:
    """`logits.chunk.N`, by N."""
    return sorted((name for name in found if re.fullmatch(r"logits\.chunk\.\d+", name)), key=lambda name: int(name.rpartition(".")[2]))


def _rows_kept(case: Case, name: str, found: np.ndarray) -> np.ndarray:
    """A long case keeps some rows; an engine may write them all."""
    rows, expected = case.inputs.get("rows"), case.expected(name)
    every = rows is not None and found.ndim == expected.ndim and found.shape[:1] == (len(case.inputs["input_ids"]),) != expected.shape[:1]
    return found[rows] if every else found


def _finding(case: Case, name: str, found: dict, budget: str, lent: tuple[str, ...]) -> Finding:
    if name in lent:
        return Finding(name, "lent", why="given to the engine")
    if name not in found:
        return Finding(name, "missing")
    if name in ("greedy_ids", "speculative_ids"):
        return _choices(case, name, found[name], budget)
    if name == "greedy_logits":
        return _greedy_logits(case, found, budget)
    expected = case.expected(name)
    if case.is_text:
        return _strings(case, name, found[name])
    if expected.dtype.kind in "iub":
        if budget == "rounded" and re.match(r"router\.|draft\.|round\.", name):
            return Finding(name, "left out", why="choices near a tie may differ where arithmetic rounds")
        return _integers(name, found[name], expected)
    return _numbers(case, name, found[name], budget)


def _wrong_kind(name: str, found: np.ndarray, expected: np.ndarray) -> Finding | None:
    integers = expected.dtype.kind in "iub"
    if integers and found.dtype.kind not in "iub":
        return Finding(name, "diverged", why=f"is of type {found.dtype}; integers are expected")
    if not integers and found.dtype.kind != "f":
        return Finding(name, "diverged", why=f"is of type {found.dtype}; real numbers are expected")
    if found.shape != expected.shape:
        return Finding(name, "diverged", why=f"has the shape {list(found.shape)}; {list(expected.shape)} is expected")
    return None


def limits(case: Case, name: str, expected: np.ndarray, budget: str) -> np.ndarray | float | None:
    """The largest absolute error allowed: for the whole tensor, or element by element (`NAME.limit`)."""
    limit = case.expected(f"{name}.limit").astype(np.float64) if case.has(f"{name}.limit") else case.facts(name).get("atol")
    if budget == "rounded":
        return np.maximum(0.0 if limit is None else limit, ROUNDED_RELATIVE * np.max(np.abs(expected), initial=0.0))
    return limit


def _numbers(case: Case, name: str, found: np.ndarray, budget: str, label: str = "") -> Finding:
    label = label or name
    expected = case.expected(name).astype(np.float64)
    rows = case.inputs.get("rows")
    found = _rows_kept(case, name, found)
    if (wrong := _wrong_kind(label, found, expected)) is not None:
        return wrong
    limit = limits(case, name, expected, budget)
    if limit is None:
        return Finding(label, "left out", why="case.json gives no atol for it")
    kept = rows if rows is not None and expected.shape[:1] == rows.shape else None
    return compare_numbers(label, found.astype(np.float64), expected, limit, case.is_operation, kept)


def compare_numbers(label: str, found: np.ndarray, expected: np.ndarray, limit, infinite_is_a_number: bool = False,
                    rows: np.ndarray | None = None) -> Finding:
    """Arrays of one shape. Infinities are equal to themselves where an operation is meant to give them. `rows` are the positions
    that a long case keeps: what is said names those."""
    position = (lambda row: row) if rows is None else (lambda row: int(rows[row]))
    limit = np.broadcast_to(np.asarray(limit, dtype=np.float64), expected.shape)
    if expected.size == 0:
        return Finding(label, "ok", 0.0, 0.0, 0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        error = np.abs(found - expected)
        if infinite_is_a_number:
            error = np.where(found == expected, 0.0, error)
        bad = ~np.isfinite(error)
        ratio = np.where(error == 0, 0.0, error / limit)
    ratio[bad] = np.inf
    at = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    out = Finding(label, "ok", float(ratio[at]), float(error[at]), float(limit[at]), [position(int(i)) if axis == 0 else int(i) for axis, i in enumerate(at)])
    if out.ratio <= 1:
        return out
    out.verdict = "diverged"
    beyond = (ratio > 1).reshape(ratio.shape[0], -1) if ratio.ndim else (ratio > 1).reshape(1, 1)
    out.first_row = position(int(np.argmax(beyond.any(axis=1))))
    place = str(out.where)
    if bad.any():
        out.error = None
        kind = "not a number" if np.isnan(found[at]) else "infinite" if np.isinf(found[at]) else "finite"
        out.why = f"is {kind} at {place}, where {expected[at]:.6g} is expected; {int(bad.sum())} of {bad.size} are such"
    else:
        share = int((ratio > 1).sum())
        out.why = f"is {found[at]:.6g} at {place}, where {expected[at]:.6g} is expected; {share} of {ratio.size} are off"
    return out


def _integers(name: str, found: np.ndarray, expected: np.ndarray) -> Finding:
    if (wrong := _wrong_kind(name, found, expected)) is not None:
        return wrong
    differ = found.astype(np.int64) != expected.astype(np.int64)
    wrong_ones = int(differ.sum())
    if wrong_ones == 0:
        return Finding(name, "ok", 0.0, 0.0, 0.0)
    at = tuple(int(i) for i in np.argwhere(differ)[0])
    why = f"is {found[at]} at {list(at)}, where {expected[at]} is expected; {wrong_ones} of {expected.size} differ"
    return Finding(name, "diverged", None, float(wrong_ones), 0.0, list(at), at[0] if at else 0, why)


def _margins(case: Case) -> np.ndarray:
    """By how much the best logit of every greedy step leads."""
    two = np.sort(case.expected("greedy_logits").astype(np.float64), axis=-1)[:, -2:]
    return two[:, 1] - two[:, 0]


def _choices(case: Case, name: str, found: np.ndarray, budget: str) -> Finding:
    """A continuation: after its first wrong id nothing can be compared. A step whose two best lie within two errors of each
    other is nobody's fault, and ends the comparison."""
    expected = case.expected(name)
    if (wrong := _wrong_kind(name, found, expected)) is not None:
        return wrong
    differ = np.flatnonzero(found != expected)
    if differ.size == 0:
        return Finding(name, "ok", 0.0, 0.0, 0.0)
    step = int(differ[0])
    if case.has("greedy_logits"):
        logits = case.expected("greedy_logits").astype(np.float64)
        limit = float(np.max(limits(case, "greedy_logits", logits, budget)))
        if step < len(logits) and _margins(case)[step] <= 2 * limit:
            return Finding(name, "ok", 0.0, 0.0, 0.0, why=f"compared up to step {step}, a near tie")
    why = f"step {step} chose {found[step]}, where {expected[step]} is expected"
    return Finding(name, "diverged", None, float(differ.size), 0.0, [step], step, why)


def _greedy_logits(case: Case, found: dict, budget: str) -> Finding:
    """Rows up to the first id that differs: what follows another id is another text."""
    name = "greedy_logits"
    expected = case.expected(name).astype(np.float64)
    if (wrong := _wrong_kind(name, found[name], expected)) is not None:
        return wrong
    rows = len(expected)
    ids = found.get("greedy_ids")
    if ids is None or ids.shape != case.expected("greedy_ids").shape:
        ids = np.argmax(found[name], axis=-1)
    differ = np.flatnonzero(ids != case.expected("greedy_ids"))
    if differ.size:
        rows = int(differ[0]) + 1
    limit = limits(case, name, expected, budget)
    return compare_numbers(name, found[name][:rows].astype(np.float64), expected[:rows], limit)


def _strings(case: Case, name: str, found: np.ndarray) -> Finding:
    expected = case.expected(name)
    if found.dtype.kind not in "iu" or found.ndim != 1:
        return Finding(name, "diverged", why=f"is {found.dtype} {list(found.shape)}; a row of integers is expected")
    if np.array_equal(found.astype(np.int64), expected.astype(np.int64)):
        return Finding(name, "ok", 0.0, 0.0, 0.0)
    from . import strings
    return Finding(name, "diverged", None, 1.0, 0.0, why=strings.difference(case, name, found))


def mean_divergence(expected: np.ndarray, found: np.ndarray) -> float:
    """The mean over rows of KL(expected ‖ found), of the distributions that rows of logits stand for."""
    def log_softmax(x):
        x = x.astype(np.float64) - np.max(x, axis=-1, keepdims=True)
        return x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True))
    p, q = log_softmax(expected), log_softmax(found)
    return float(np.mean(np.sum(np.exp(p) * (p - q), axis=-1)))
