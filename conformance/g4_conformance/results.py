"""The results of a run: what text, JSON, JUnit XML and HTML are made of, and what two runs are compared by."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

from .judge import Finding

FORMAT = 1

# passed: every result is there and right. failed: something diverged, or a result is missing. error: nothing to compare.
# expected failure, unexpected pass: by the file of expected failures. not applicable: the engine does not claim it.
VERDICTS = ("passed", "failed", "error", "expected failure", "unexpected pass", "not applicable")
BAD = ("failed", "error", "unexpected pass")


@dataclasses.dataclass
class CaseResult:
    case: str
    levels: list[str]
    verdict: str
    why: str = ""
    first: str = ""  # the first tensor to diverge
    place: str = ""  # what is special about that place of the model
    begins_like: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)
    unknown: list[str] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def worst(self) -> Finding | None:
        compared = [f for f in self.findings if f.ratio is not None]
        return max(compared, key=lambda f: f.ratio, default=None)


@dataclasses.dataclass
class Results:
    engine: str
    version: str
    date: str
    budget: str
    cases: list[CaseResult]
    notes: list[str] = dataclasses.field(default_factory=list)

    def count(self, *verdicts: str) -> int:
        return sum(c.verdict in verdicts for c in self.cases)

    @property
    def good(self) -> bool:
        return self.count(*BAD) == 0 and self.count("passed", "expected failure") > 0

    def by_level(self) -> dict[str, list[CaseResult]]:
        out: dict[str, list[CaseResult]] = {}
        for c in self.cases:
            for level in c.levels or ["other"]:
                out.setdefault(level, []).append(c)
        return out


class BadResults(Exception):
    pass


def _plain(value):
    """JSON has no infinity: 1e999 would not be read by everybody, so it is written as a word."""
    if isinstance(value, float) and not math.isfinite(value):
        return "infinite" if value > 0 else "not a number"
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _number(value):
    return {"infinite": math.inf, "not a number": math.nan}.get(value, value) if isinstance(value, str) else value


def write(path: str, results: Results) -> None:
    record = {"format": FORMAT, **dataclasses.asdict(results)}
    Path(path).write_text(json.dumps(_plain(record), indent=1) + "\n", encoding="utf-8")


def read(path: str) -> Results:
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as e:
        raise BadResults(f"{path} cannot be read: {e}") from None
    except ValueError:
        raise BadResults(f"{path} is no JSON text") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise BadResults(f"{path} holds no results of this suite, or another version's")
    try:
        record.pop("format")
        cases = []
        for c in record.pop("cases"):
            findings = [Finding(**{k: _number(v) if k in ("ratio", "error", "limit") else v for k, v in f.items()})
                        for f in c.pop("findings")]
            cases.append(CaseResult(findings=findings, **c))
        return Results(cases=cases, **record)
    except (TypeError, KeyError, AttributeError) as e:
        raise BadResults(f"{path} is incomplete: {e}") from None
