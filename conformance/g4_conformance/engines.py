"""Engines under test: a program, or a Python class in a process of its own, so that nothing it does ends the suite."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from . import tensors

NOT_APPLICABLE = 77  # the exit status by which a program says that it does not claim to run a case


@dataclasses.dataclass
class Outcome:
    """What came of one case: tensors, or a sentence why there are none."""

    tensors: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    error: str = ""
    not_applicable: str = ""
    seconds: float = 0.0


class BadEngine(Exception):
    """An engine that cannot even be started."""


def read_output(out: Path) -> Outcome:
    if not out.exists():
        return Outcome(error=f"the engine ended well and wrote no {out.name}")
    if not out.is_file():  # one to be waited for, such as a pipe, would be waited for without end
        return Outcome(error=f"the engine's {out.name} is no regular file")
    try:
        found = tensors.load(out)
    except tensors.Damaged as e:
        return Outcome(error=f"the engine's output is damaged: {e}")
    if not found:
        return Outcome(error=f"the engine's {out.name} has no tensors")
    return Outcome(found)


def last_line(text: str) -> str:
    """Whatever a terminal would obey is shown as what cannot be shown."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(c if c.isprintable() else "\ufffd" for c in lines[-1][-400:]) if lines else ""


def how_it_ended(status: int, said: str) -> str:
    said = last_line(said)
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"the engine crashed with {name}" + (f"; it last said: {said}" if said else "")
    return f"the engine ended with exit status {status}" + (f": {said}" if said else " and said nothing")


def _end(process: subprocess.Popen) -> None:
    """Ends a process and what it started: both were given a group of their own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError, AttributeError):
        process.kill()
    process.wait()


class Program:
    """`COMMAND CASE_DIR OUT.safetensors`, once per case."""

    def __init__(self, command: str):
        self.command = shlex.split(command)
        if not self.command:
            raise BadEngine("--program is empty")
        found = shutil.which(self.command[0])
        if found is None:
            raise BadEngine(f"there is no program {self.command[0]}")
        self.command = [os.path.abspath(found)] + [os.path.abspath(a) if os.path.exists(a) else a for a in self.command[1:]]
        self.name = " ".join(os.path.basename(word) or word for word in self.command)  # where it lies is nobody's business

    def run(self, folder: Path, out: Path, timeout: float) -> Outcome:
        began = time.monotonic()
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(self.command + [str(folder), str(out)], stdin=subprocess.DEVNULL, stdout=said,
                                           stderr=subprocess.STDOUT, cwd=out.parent, start_new_session=True)
            except OSError as e:
                return Outcome(error=f"the engine cannot be started: {e.strerror or e}")
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                if process.poll() is None:
                    _end(process)
            size = said.seek(0, os.SEEK_END)
            said.seek(max(0, size - 4096))
            text = said.read().decode("utf-8", "replace")
        if status is None:
            outcome = Outcome(error=f"the engine was not done after {timeout:g} s")
        elif status == NOT_APPLICABLE:
            outcome = Outcome(not_applicable=last_line(text) or "the engine does not say why")
        elif status != 0:
            outcome = Outcome(error=how_it_ended(status, text))
        else:
            outcome = read_output(out)
        outcome.seconds = time.monotonic() - began
        return outcome

    def close(self) -> None:
        pass


class PythonClass:
    """`module:Class`, whose run(case) returns tensors by name; the module is imported once, in another process."""

    def __init__(self, name: str):
        module, _, cls = name.partition(":")
        if not module or not cls:
            raise BadEngine(f"--engine is {name}; it is module:Class")
        self.name = name
        self._process: subprocess.Popen | None = None
        self._said = None

    def _start(self) -> None:
        self._said = tempfile.TemporaryFile()
        here = str(Path(__file__).parent.parent)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))}
        self._process = subprocess.Popen([sys.executable, "-m", "g4_conformance.worker", self.name], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=self._said, start_new_session=True, env=environment,
                                         text=True)
        self._answers: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, args=(self._process, self._answers), daemon=True)
        self._listener.start()

    @staticmethod
    def _listen(process: subprocess.Popen, answers: queue.Queue) -> None:
        for line in process.stdout:
            answers.put(line)
        answers.put("")

    def run(self, folder: Path, out: Path, timeout: float) -> Outcome:
        began = time.monotonic()
        if self._process is None or self._process.poll() is not None:
            self._start()
        try:
            self._process.stdin.write(json.dumps([str(folder), str(out)]) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            outcome = Outcome(error=f"the engine was not done after {timeout:g} s")
            self.close()
        except OSError:
            outcome = self._ended()
        else:
            outcome = self._ended() if not line else self._answered(json.loads(line), out)
        outcome.seconds = time.monotonic() - began
        return outcome

    @staticmethod
    def _answered(answer: dict, out: Path) -> Outcome:
        if "not_applicable" in answer:
            return Outcome(not_applicable=answer["not_applicable"])
        if "error" in answer:
            return Outcome(error=answer["error"])
        return read_output(out)

    def _ended(self) -> Outcome:
        status = self._process.wait()
        self._said.seek(0)
        text = self._said.read().decode("utf-8", "replace")
        self._let_go()
        return Outcome(error=how_it_ended(status, text))

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            _end(self._process)
        self._let_go()

    def _let_go(self) -> None:
        if self._process is not None:
            with contextlib.suppress(OSError):  # what was still to be written to a process that is gone
                self._process.stdin.close()
            self._listener.join()
            self._process.stdout.close()
            self._said.close()
        self._process = None
