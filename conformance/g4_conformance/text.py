"""Results as lines of text."""

from __future__ import annotations

from .cases import LEVELS
from .judge import Finding
from .results import BAD, CaseResult, Results


def figure(x: float | None) -> str:
    return "-" if x is None else f"{x:.3g}"


def times(f: Finding) -> str:
    if f.ratio is None:
        return ""
    return f"{f.ratio:.2g} × its limit" if f.ratio < 1e9 else "no finite error"


def case_lines(c: CaseResult, all_tensors: bool = False) -> list[str]:
    head = f"{c.case:<24} {c.verdict if c.verdict not in BAD else c.verdict.upper():<16}"
    if c.verdict == "passed" and c.worst:
        compared = sum(f.ratio is not None for f in c.findings)
        lines = [f"{head} {compared} tensors, the worst is {times(c.worst)}: {c.worst.tensor}"]
    elif c.first:
        lines = [f"{head} the first tensor to diverge is {c.first}"]
    else:
        lines = [f"{head} {c.why}"]
    under = " " * 26
    first = next((f for f in c.findings if f.tensor == c.first), None)
    if first is not None:
        lines.append(f"{under}it {c.why}")
        if first.ratio is not None and first.error is not None:
            place = f"; rows before {first.first_row} agree" if first.first_row else ""
            lines.append(f"{under}error {figure(first.error)}, limit {figure(first.limit)}{place}")
        if c.place:
            lines.append(f"{under}{c.place}")
        if c.begins_like:
            lines.append(f"{under}mistakes that begin here: {', '.join(c.begins_like)}")
    if c.missing and c.verdict != "error":
        lines.append(f"{under}not written: {shortened(c.missing)}")
    if c.unknown:
        lines.append(f"{under}written, and no name that a case could ask for: {shortened(c.unknown)}")
    if all_tensors:
        for f in c.findings:
            figures = f"{figure(f.error)} of {figure(f.limit)}" if f.ratio is not None else f.why
            lines.append(f"{under}{f.tensor:<28} {f.verdict:<9} {figures}")
    return lines


def shortened(names: list[str], most: int = 8) -> str:
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"


def summary_lines(r: Results) -> list[str]:
    lines = []
    for level, cases in sorted(r.by_level().items()):
        claimed = [c for c in cases if c.verdict != "not applicable"]
        passed = sum(c.verdict == "passed" for c in cases)
        note = f", {len(cases) - len(claimed)} not applicable" if len(claimed) < len(cases) else ""
        lines.append(f"{level}: {passed} of {len(claimed)} passed{note}")
    lines += r.notes
    parts = [f"{r.count('passed')} passed", f"{r.count('failed', 'error')} failed"]
    for verdict, plural in (("expected failure", "expected failures"), ("unexpected pass", "unexpected passes"),
                            ("not applicable", "not applicable")):
        if r.count(verdict):
            parts.append(f"{r.count(verdict)} {verdict if r.count(verdict) == 1 else plural}")
    return lines + [", ".join(parts)]


def lines(r: Results, all_tensors: bool = False) -> list[str]:
    out = [f"{r.engine} on g4-conformance {r.version}, {r.date}, budget {r.budget}"]
    for c in r.cases:
        out += case_lines(c, all_tensors)
    return out + summary_lines(r)


def compared_lines(old: Results, new: Results) -> tuple[list[str], bool]:
    """What changed from one run to another, and whether anything got worse."""
    out, worse = [f"{old.engine} ({old.date})", f"{new.engine} ({new.date})"], False
    if old.version != new.version:
        out.append(f"versions differ: {old.version} and {new.version}; see CHANGELOG.md")
    if old.budget != new.budget:
        out.append(f"budgets differ: {old.budget} and {new.budget}")
    before = {c.case: c for c in old.cases}
    for c in new.cases:
        b = before.pop(c.case, None)
        if b is None:
            out.append(f"{c.case}: new, {c.verdict}")
            worse |= c.verdict in BAD
        elif b.verdict != c.verdict:
            out.append(f"{c.case}: {b.verdict} → {c.verdict}" + (f", first at {c.first}" if c.first else ""))
            worse |= c.verdict in BAD and b.verdict not in BAD
        elif b.first != c.first:
            out.append(f"{c.case}: diverged first at {b.first or '-'}, now at {c.first or '-'}")
        else:
            errors = {f.tensor: f for f in b.findings}
            for f in c.findings:
                was = errors.get(f.tensor)
                if was and was.error and f.error and f.verdict == "ok" and f.error > 4 * was.error:
                    out.append(f"{c.case}: the error of {f.tensor} grew from {figure(was.error)} to {figure(f.error)}")
                    break
    out += [f"{name}: was {c.verdict}, not run now" for name, c in before.items()]
    if len(out) == 2:
        out.append("nothing changed")
    return out, worse


def table(runs: list[Results]) -> list[str]:
    """Markdown: a row per engine and a column per level, then a row per failure."""
    levels = [level for level in LEVELS if any(level in r.by_level() for r in runs)]
    out = ["| engine | budget | " + " | ".join(levels) + " |", "|---|---|" + "---|" * len(levels)]
    for r in runs:
        cells = []
        for level in levels:
            claimed = [c for c in r.by_level().get(level, []) if c.verdict != "not applicable"]
            cells.append(f"{sum(c.verdict == 'passed' for c in claimed)} of {len(claimed)}" if claimed else "not applicable")
        out.append(f"| {r.engine} | {r.budget} | " + " | ".join(cells) + " |")
    rows = []
    for r in runs:
        for c in r.cases:
            if c.verdict not in ("passed", "not applicable"):
                first = next((f for f in c.findings if f.tensor == c.first), None)
                where = f"`{c.first}`" if c.first else "-"
                size = f"{times(first)}" if first is not None and first.ratio is not None else c.why
                rows.append(f"| {r.engine} | `{c.case}` | {where} | {size.replace('|', '/')} |")
    if rows:
        out += ["", "| engine | case | diverges first at | by |", "|---|---|---|---|", *rows]
    return out
