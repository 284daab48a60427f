"""A Python environment of the comparison's own, with the peer from its published package. Used by `run` and `kl`."""

import argparse
import os
import pathlib
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
root = here.parents[1]
PACKAGES = ["numpy>=1.26", "llama-cpp-python>=0.3.16"]


def add_options(p: argparse.ArgumentParser):
    p.add_argument("--model", "-m", default=os.environ.get("G4_MODEL_270M"), help="a GGUF file (default: $G4_MODEL_270M)")
    p.add_argument("--g4", default=str(root / "build/release/bin/g4"), help="the program (default: the release preset's)")
    p.add_argument("--environment", default=str(root / "build/compare"), help="where the peer is or gets installed")


def python_of(options):
    """The environment's interpreter; the first call installs, which compiles llama.cpp and takes some minutes."""
    python = pathlib.Path(options.environment) / "bin/python"
    if not python.exists():
        print(f"installing {', '.join(PACKAGES)} into {options.environment}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", options.environment], check=True)
    if subprocess.run([python, "-c", "import llama_cpp, numpy"], capture_output=True, check=False).returncode != 0:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return str(python)


def check(options):
    if not options.model or not pathlib.Path(options.model).is_file():
        sys.exit("give --model a GGUF file, or set G4_MODEL_270M")
    if not pathlib.Path(options.g4).is_file():
        sys.exit(f"{options.g4} is not there: cmake --preset release && cmake --build --preset release, or give --g4")


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown CPU"
