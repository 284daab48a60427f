"""Results as JUnit XML: one suite, a test case per case."""

from __future__ import annotations

import xml.etree.ElementTree as xml

from .results import BAD, Results
from .text import case_lines


def write(path: str, r: Results) -> None:
    suite = xml.Element("testsuite", name=f"g4-conformance {r.version}", tests=str(len(r.cases)),
                        failures=str(r.count("failed", "unexpected pass")), errors=str(r.count("error")),
                        skipped=str(r.count("not applicable", "expected failure")),
                        time=f"{sum(c.seconds for c in r.cases):.3f}")
    for c in r.cases:
        test = xml.SubElement(suite, "testcase", classname=(c.levels or ["other"])[0].replace(" ", "_"), name=c.case,
                              time=f"{c.seconds:.3f}")
        if c.verdict in BAD:
            said = f"first to diverge: {c.first}" if c.first else c.why
            kind = "error" if c.verdict == "error" else "failure"
            xml.SubElement(test, kind, message=_printable(said)).text = _printable("\n".join(case_lines(c, True)))
        elif c.verdict != "passed":
            xml.SubElement(test, "skipped", message=_printable(f"{c.verdict}: {c.why}"))
    xml.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def _printable(text: str) -> str:
    """XML has no control characters but three, and an engine may have said any."""
    return "".join(ch if ch in "\n\t" or 32 <= ord(ch) < 0xD800 or 0xE000 <= ord(ch) < 0xFFFE or ord(ch) > 0xFFFF else "�" for ch in text)
