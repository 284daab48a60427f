"""The file of failures that an engine's authors know of: `CASE [TENSOR]  # why`, one a line, patterns allowed.

With TENSOR the case must diverge there first; another beginning is another failure. What passes all the same is reported,
so that the file shrinks as the engine is mended.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from pathlib import Path


class BadFile(Exception):
    pass


@dataclasses.dataclass
class Entry:
    case: str
    tensor: str
    why: str
    line: int
    used: bool = False


class ExpectedFailures:
    def __init__(self, path: str | None = None):
        self.entries: list[Entry] = []
        if path is None:
            return
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise BadFile(f"{path} cannot be read: {e}") from None
        for number, line in enumerate(lines, 1):
            words, _, why = line.partition("#")
            parts = words.split()
            if len(parts) > 2:
                raise BadFile(f"{path}, line {number}: a line is CASE [TENSOR]  # why")
            if parts:
                self.entries.append(Entry(parts[0], parts[1] if len(parts) == 2 else "*", why.strip(), number))

    def of(self, case: str) -> Entry | None:
        for entry in self.entries:
            if fnmatch.fnmatchcase(case, entry.case):
                entry.used = True
                return entry
        return None

    def unused(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.used]
