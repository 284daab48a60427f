"""The package as others install it: a wheel that needs NumPy and nothing of g4."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

HERE = Path(__file__).parent.parent


def _builds_wheels() -> bool:
    try:
        newest = int(importlib.metadata.version("setuptools").split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return False
    return importlib.util.find_spec("pip") is not None and (newest >= 71 or importlib.util.find_spec("wheel") is not None)


@unittest.skipUnless(_builds_wheels(), "needs pip, setuptools and wheel")
class Wheel(unittest.TestCase):
    def test_it_is_small_and_runs_by_itself(self):
        with tempfile.TemporaryDirectory() as place:
            place = Path(place)
            (place / "source").mkdir()  # a copy: a build writes beside its sources
            for name in ("pyproject.toml", "README.md"):
                shutil.copy(HERE / name, place / "source")
            for name in ("g4_conformance", "cases", "examples"):
                shutil.copytree(HERE / name, place / "source" / name)
            subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
                            "--wheel-dir", place, place / "source"], check=True, env={**os.environ, "PYTHONPATH": ""})
            wheel, = place.glob("g4_conformance-*.whl")
            self.assertLess(wheel.stat().st_size, 20e6)
            zipfile.ZipFile(wheel).extractall(place / "installed")
            engine = place / "installed" / "g4_conformance" / "examples" / "gemma3_numpy.py"
            run = subprocess.run([sys.executable, "-m", "g4_conformance", "run", "--program", f"{sys.executable} {engine}", "gemma3-270m", "op-rope"],
                                 cwd=place, env={**os.environ, "PYTHONPATH": str(place / "installed")}, capture_output=True, text=True)
            self.assertIn("text: 1 of 1 passed", run.stdout, run.stderr)
            self.assertEqual(run.returncode, 0, run.stdout)


if __name__ == "__main__":
    unittest.main()
