"""Results as one page of HTML that needs nothing beside it: the error of every tensor over its limit, layer by layer."""

from __future__ import annotations

import math
from html import escape

from .judge import Finding
from .results import BAD, CaseResult, Results
from .text import figure, shortened, summary_lines, times

_STYLE = """
:root { color-scheme: light dark; --ok: #2f7d4f; --bad: #c0392b; --none: #8a8a8a; --line: #8886; --text: #222; --ground: #fff }
@media (prefers-color-scheme: dark) { :root { --ok: #5cb585; --bad: #ef7a6d; --text: #ddd; --ground: #181818 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground); margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin: 1.6rem 0 .2rem }
p { margin: .2rem 0 } code { font-size: .92em } table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; text-align: left }
.passed, .expected { color: var(--ok) } .bad { color: var(--bad); font-weight: 600 } .quiet { color: var(--none) }
svg { display: block; width: 100%; height: auto; margin: .3rem 0 } svg text { font: 9px system-ui, sans-serif; fill: var(--text) }
svg .ok { fill: var(--ok) } svg .diverged { fill: var(--bad) } svg .none { fill: none; stroke: var(--none); stroke-dasharray: 2 2 }
svg .limit { stroke: var(--bad); stroke-width: 1 } svg .grid { stroke: var(--line); stroke-width: .5 }
"""

_ACROSS = 96  # tensors in a row: more could not be read
_LOWEST, _HIGHEST = -5, 6  # powers of ten of error over limit that are drawn
_HEIGHT, _LEFT, _ABOVE, _BELOW = 110, 46, 7, 84


def _bar_height(ratio: float) -> float:
    power = _LOWEST if ratio <= 0 else min(max(math.log10(ratio), _LOWEST), _HIGHEST) if math.isfinite(ratio) else _HIGHEST
    return (power - _LOWEST) / (_HIGHEST - _LOWEST) * _HEIGHT


def drawings(findings: list[Finding]) -> str:
    """As many rows of bars as it takes, each of about as many."""
    across = math.ceil(len(findings) / math.ceil(len(findings) / _ACROSS))
    return "\n".join(drawing(findings[i:i + across]) for i in range(0, len(findings), across))


def drawing(findings: list[Finding]) -> str:
    """A bar per tensor in the order data flows. The height is log10 of the error over the limit; the line is the limit."""
    step = max(9.0, min(26.0, 900 / max(1, len(findings))))
    width = _LEFT + step * len(findings) + 8
    out = [f'<svg viewBox="0 {-_ABOVE} {width:.0f} {_ABOVE + _HEIGHT + _BELOW}" style="max-width:{width * 1.25:.0f}px" role="img" '
           'aria-label="error over limit of every tensor">']
    for power in range(_LOWEST, _HIGHEST + 1):
        y = _HEIGHT - _bar_height(10.0**power)
        kind = "limit" if power == 0 else "grid"
        out.append(f'<line class="{kind}" x1="{_LEFT}" x2="{width - 4:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        if power % 2 == 0:
            label = "limit" if power == 0 else f"10{_superscript(power)}"
            out.append(f'<text x="{_LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{label}</text>')
    for i, f in enumerate(findings):
        x = _LEFT + i * step
        beyond = f.verdict == "diverged"
        drawn = f.ratio is not None or beyond
        height = _bar_height(f.ratio if f.ratio is not None else math.inf) if drawn else _HEIGHT
        kind = f.verdict if f.verdict in ("ok", "diverged") and drawn else "none"
        said = f"{f.tensor}: {f.verdict}" + (f", {times(f)}" if f.ratio is not None else "") + (f"; {f.why}" if f.why else "")
        out.append(f'<rect class="{kind}" x="{x + 1:.1f}" y="{_HEIGHT - height:.1f}" width="{step - 2:.1f}" '
                   f'height="{max(height, 0.6):.1f}"><title>{escape(said)}</title></rect>')
        out.append(f'<text transform="translate({x + step / 2 + 3:.1f} {_HEIGHT + 5}) rotate(-60)" text-anchor="end">{escape(f.tensor)}</text>')
    return "".join(out) + "</svg>"


def _superscript(n: int) -> str:
    return str(n).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _case(c: CaseResult) -> str:
    kind = "bad" if c.verdict in BAD else "passed" if c.verdict == "passed" else "quiet"
    out = [f'<h2 id="{escape(c.case)}"><code>{escape(c.case)}</code> <span class="{kind}">{escape(c.verdict)}</span></h2>']
    if c.first:
        first = next(f for f in c.findings if f.tensor == c.first)
        error = f" Error {figure(first.error)}, limit {figure(first.limit)}." if first.error is not None and first.ratio is not None else ""
        rows = f" Rows before {first.first_row} agree." if first.first_row else ""
        out.append(f"<p>The first tensor to diverge is <code>{escape(c.first)}</code>: it {escape(c.why)}.{error}{rows}</p>")
        if c.place:
            out.append(f"<p>{escape(c.place[0].upper() + c.place[1:])}.</p>")
        if c.begins_like:
            out.append(f"<p>Mistakes that begin here: {escape(', '.join(c.begins_like))}.</p>")
    elif c.why:
        out.append(f"<p>{escape(c.why)}</p>")
    if c.findings:
        out.append(drawings(c.findings))
    if c.missing and c.findings:
        out.append(f'<p class="quiet">Not written: {escape(shortened(c.missing))}</p>')
    if c.unknown:
        out.append(f'<p class="quiet">Written, and no name that a case could ask for: {escape(shortened(c.unknown))}</p>')
    return "\n".join(out)


def page(r: Results) -> str:
    rows = []
    for level, cases in sorted(r.by_level().items()):
        names = " ".join(f'<a class="{"bad" if c.verdict in BAD else "passed" if c.verdict == "passed" else "quiet"}" '
                         f'href="#{escape(c.case)}">{escape(c.case)}</a>' for c in cases)
        rows.append(f"<tr><th>{escape(level)}</th><td>{sum(c.verdict == 'passed' for c in cases)} of {len(cases)}</td><td>{names}</td></tr>")
    about = f"{r.engine}, g4-conformance {r.version}, {r.date}, budget {r.budget}"
    return "\n".join([
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(r.engine)} · g4-conformance</title><style>{_STYLE}</style></head><body>",
        f"<h1>Conformance of {escape(r.engine)}</h1><p>{escape(about)}</p><p><b>{escape(summary_lines(r)[-1])}</b></p>",
        "<table>" + "".join(rows) + "</table>", *(f"<p>{escape(note)}</p>" for note in r.notes),
        "<p class=\"quiet\">Each bar is a tensor, in the order data flows; its height is the largest error over the limit, on a "
        "logarithmic scale. Where the first bar crosses the line, there is the mistake; a dashed one was not written.</p>",
        *(_case(c) for c in r.cases), "</body></html>\n"])
