"""`python -m g4_conformance.worker module:Class`: runs a Python engine on the cases that are named on stdin, a JSON list
[CASE_DIR, OUT.safetensors] per line; answers each with a JSON object on a line."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback

import numpy as np

from . import NotApplicable, tensors
from .cases import Case


def _sentence(e: BaseException) -> str:
    frames = traceback.extract_tb(e.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"the engine raised {type(e).__name__}: {e}{place}"


def _run(engine: object, folder: str, out: str) -> dict:
    made = engine.run(Case(folder))
    if not isinstance(made, dict):
        return {"error": f"the engine's run() returned {type(made).__name__}; a dict of arrays is expected"}
    tensors.save(out, {str(name): np.asarray(value) for name, value in made.items()})
    return {}


def main() -> int:
    module, _, name = sys.argv[1].partition(":")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an engine prints is no answer
    sys.path.insert(0, os.getcwd())
    failed = None
    try:
        engine = getattr(importlib.import_module(module), name)()
    except NotApplicable as e:
        failed = {"not_applicable": str(e)}
    except Exception as e:
        failed = {"error": f"{sys.argv[1]} cannot be made: {type(e).__name__}: {e}"}
    for line in sys.stdin:
        folder, out = json.loads(line)
        try:
            answer = failed or _run(engine, folder, out)
        except NotApplicable as e:
            answer = {"not_applicable": str(e)}
        except Exception as e:
            answer = {"error": _sentence(e)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
