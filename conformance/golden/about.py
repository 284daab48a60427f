"""Writes case.json."""

import json


def write_about(path, case):
    """JSON with a line per tensor, per check and per mistake."""
    def lines(value, indent, depth):
        if not isinstance(value, dict) or depth == 0 or not value:
            return json.dumps(value, ensure_ascii=False)
        inside = ",\n".join(f"{indent} {json.dumps(k)}: {lines(v, indent + ' ', 1 if k == 'mistakes' else depth - 1)}"
                            for k, v in value.items())
        return "{\n" + inside + f"\n{indent}}}"

    path.write_text(lines(case, "", 2) + "\n")
