"""test_run.py BIN SOURCE: bench/cuda/run from end to end on the host, with a stand-in for llama-bench, and what it says
when something is missing."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

binaries, source = sys.argv[1:]
run = pathlib.Path(source) / "bench/cuda/run"


def ask(*options):
    done = subprocess.run([sys.executable, run, "--on-host", binaries, *options], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def expect(what, condition, shown):
    if not condition:
        sys.exit(f"{what}\n{shown}")


with tempfile.TemporaryDirectory() as place:
    raw = os.path.join(place, "raw.jsonl")
    llama = os.path.join(place, "llama-bench")
    answer = [{"n_prompt": 0, "n_gen": 64, "n_depth": 0, "avg_ts": 2.0}, {"n_prompt": 512, "n_gen": 0, "n_depth": 0, "avg_ts": 9.0}]
    with open(llama, "w", encoding="utf-8") as script:
        script.write(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    os.chmod(llama, 0o755)
    status, out, err = ask("--raw", raw, "--llama-bench", llama)
    expect("it failed", status == 0, out + err)
    for wanted in ("== part 1", "passed: 3 tests", "| read, 2 blocks |", "100 kernels replayed |", "100 kernels replayed, each when the one in front has ended |", "bench_tiny F32 head",
                   "bench_tiny F32, 1 tokens at 0", "bench_tiny F32, 8 tokens at 20", "a tiny model: no verdict",
                   "a prompt of 20", "llama.cpp 2 tokens/s", "llama.cpp 9 tokens/s"):
        expect(f"there is no {wanted}", wanted in out, out)
    kinds = {json.loads(line)["what"] for line in open(raw, encoding="utf-8")}
    expect("not all is kept", kinds == {"check", "read", "copy", "launch", "product", "decode", "prompt", "llama.cpp"}, kinds)

    status, out, err = ask("--raw", raw, "--part", "4", "--llama-bench", os.path.join(place, "none"))
    expect("a part that fails is no failure", status == 1 and "not measured" in out, out + err)
    status, out, err = ask("--raw", raw, "--part", "3", "--minutes", "0")
    expect("a part has no end", status == 1 and "the part's time is over" in out, out + err)
