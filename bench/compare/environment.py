"""A Python environment of the comparison's own, with the peers from their published packages. Used by `run` and `kl`."""

import argparse
import os
import pathlib
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
root = here.parents[1]
PACKAGES = {"llama.cpp": ("llama_cpp", "llama-cpp-python>=0.3.16"), "ik_llama.cpp": ("ik_llama_cpp", "ik-llama-cpp-python>=0.1.5")}


def add_options(p: argparse.ArgumentParser):
    p.add_argument("--model", "-m", default=os.environ.get("G4_MODEL_270M"), help="a GGUF file (default: $G4_MODEL_270M)")
    p.add_argument("--g4", default=str(root / "build/release/bin/g4"), help="the program (default: the release preset's)")
    p.add_argument("--environment", default=str(root / "build/compare"), help="where the peers are or get installed")
    p.add_argument("--peers", default="llama.cpp,ik_llama.cpp", help="with commas between (default: both)")


def python_of(options):
    """The environment's interpreter; the first call installs, which compiles llama.cpp and takes some minutes."""
    python = pathlib.Path(options.environment) / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", options.environment], check=True)
    for module, package in [("numpy", "numpy>=1.26"), *(PACKAGES[peer] for peer in peers_of(options))]:
        found = f"import importlib.util as u, sys; sys.exit(u.find_spec('{module}') is None)"
        if subprocess.run([python, "-c", found], check=False).returncode != 0:
            print(f"installing {package} into {options.environment}", file=sys.stderr)
            subprocess.run([python, "-m", "pip", "install", "--quiet", package], check=True)
    return str(python)


def peers_of(options):
    peers = options.peers.split(",")
    for peer in peers:
        if peer not in PACKAGES:
            sys.exit(f"there is no peer {peer}; there are: {', '.join(PACKAGES)}")
    return peers


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
