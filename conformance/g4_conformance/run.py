"""Runs an engine over cases."""

from __future__ import annotations

import datetime
import fnmatch
import queue
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

from .cases import Case, stage
from .engines import Outcome
from .expected_failures import ExpectedFailures
from .judge import judge
from .results import CaseResult, Results
from .version import VERSION


def run(make_engine: Callable[[], object], cases: list[Case], *, expected_failures: ExpectedFailures | None = None,
        budget: str = "float32", timeout: float = 300.0, jobs: int = 1, lend_soft_tokens: bool = False,
        keep: str | None = None, name: str | None = None, progress: Callable[[int, int, str], None] = lambda done, of, name: None) -> Results:
    """Each of `jobs` threads has an engine of its own. With `keep`, what the engine wrote stays in that folder."""
    known = expected_failures or ExpectedFailures()
    first = make_engine()
    engines: queue.Queue = queue.Queue()
    engines.put(first)
    for _ in range(jobs - 1):
        engines.put(make_engine())
    done, lock = 0, threading.Lock()

    def one(case: Case) -> CaseResult:
        nonlocal done
        engine = engines.get()
        try:
            progress(done, len(cases), case.name)
            with tempfile.TemporaryDirectory(prefix="g4-conformance.") as place:
                folder = case.stage(Path(place), lend_soft_tokens)
                out = Path(place) / "out.safetensors"
                outcome = engine.run(folder, out, timeout)
                if keep and out.exists():
                    Path(keep).mkdir(parents=True, exist_ok=True)
                    (Path(keep) / f"{case.name}.safetensors").write_bytes(out.read_bytes())
        finally:
            engines.put(engine)
        result = case_result(case, outcome, known, budget, case.lent if lend_soft_tokens else ())
        with lock:
            done += 1
            progress(done, len(cases), case.name)
        return result

    try:
        with ThreadPoolExecutor(jobs) as pool:
            found = list(pool.map(one, cases))
    finally:
        while not engines.empty():
            engines.get().close()
    notes = [f"line {e.line} of the expected failures, {e.case}, is no case that was run" for e in known.unused()]
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return Results(name or first.name, VERSION, date, budget, found, notes)


def case_result(case: Case, outcome: Outcome, known: ExpectedFailures, budget: str = "float32",
                lent: tuple[str, ...] = ()) -> CaseResult:
    out = CaseResult(case.name, list(case.levels), "passed", seconds=round(outcome.seconds, 3))
    if outcome.not_applicable:
        out.verdict, out.why = "not applicable", outcome.not_applicable
        return out
    if outcome.error:
        out.verdict, out.why = "error", outcome.error
    else:
        judged = judge(case, outcome.tensors, budget, lent)
        out.findings, out.missing, out.unknown = judged.findings, judged.missing, judged.unknown
        absent = [name for name in case.results if name in judged.missing]
        if judged.first is not None:
            first = judged.first
            out.verdict, out.first, out.why = "failed", first.tensor, first.why
            if first.error is not None:  # a wrong shape says enough
                begins = judged.may_begin_at
                unseen = [name for name in begins if stage(name) != stage(first.tensor)]
                out.place = case.place(first.tensor, first.first_row, judged.missing)
                if unseen:
                    out.place += f"{'; ' if out.place else ''}it may begin in any of the {len(unseen)} tensors in front that are not written"
                if budget == "float32":  # rounding begins anywhere
                    out.begins_like = case.begins_like(begins, first.first_row, first.ratio)
        elif absent:
            out.verdict, out.why = "failed", f"the engine wrote no {', '.join(absent)}"
    entry = known.of(case.name)
    if entry is None:
        return out
    if out.verdict == "passed":
        out.verdict, out.why = "unexpected pass", f"was expected to fail: {entry.why or 'no reason is given'}"
    elif fnmatch.fnmatchcase(out.first, entry.tensor):
        out.verdict = "expected failure"
        out.why = f"{out.why} ({entry.why})" if entry.why else out.why
    else:
        out.why = f"was expected to diverge first at {entry.tensor}; {out.why}"
    return out
