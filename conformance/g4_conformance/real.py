"""`real`: an engine beside transformers on released weights, which this suite cannot bring.

The reference runs every prompt twice in float32, with its eager attention and with PyTorch's fused one: the same arithmetic in
another order. A tensor may be off by 40 times the distance between the two, or 2e-5 of its largest value.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable

import numpy as np

from . import tensors
from .cases import BadCase, Case
from .results import Results
from .run import run

PROMPTS = {
    "english": "The three laws of thermodynamics are simple to state. The first says that energy is neither made nor lost;",
    "code": "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return",
    "german": "Über allen Gipfeln ist Ruh, in allen Wipfeln spürest du kaum einen Hauch; die Vögelein",
    "counting": "one two three four five six seven eight nine ten " * 3 + "one two three",
}

_OWN = ("case.json", "expected.safetensors")  # of a case, and never written through a link
_ROWS_OF_ALL = 48  # positions up to which all rows are kept


def run_real(make_engine, args, say: Callable[[str], None]) -> Results:
    if not args.checkpoint and not args.gguf:
        raise BadCase("real needs --checkpoint FOLDER or --gguf FILE")
    place = Path(args.work) if args.work else Path(tempfile.mkdtemp(prefix="g4-conformance-real."))
    place.mkdir(parents=True, exist_ok=True)
    try:
        checkpoint = Path(args.checkpoint) if args.checkpoint else _unpacked(Path(args.gguf), place, say)
        if not (checkpoint / "config.json").exists():
            raise BadCase(f"{checkpoint} has no config.json")
        prompts = _prompts(args, checkpoint)
        made = [_case(place, checkpoint, name, ids, args.new_tokens) for name, ids in prompts.items()]
        _reference(made, args.memory, say)
        hashes = [f"{path.name}: SHA-256 {_sha256(path)}" for path in _weights(checkpoint, args.gguf)]
        if args.gguf:
            os.environ["G4_CONFORMANCE_GGUF"] = os.path.abspath(args.gguf)
        say("running the engine")
        found = run(make_engine, [Case(folder) for folder in made], budget=args.budget, timeout=args.timeout, name=args.name)
        found.notes += hashes
        return found
    finally:
        if not args.work:
            shutil.rmtree(place, ignore_errors=True)


def _weights(checkpoint: Path, gguf: str | None) -> list[Path]:
    return [Path(gguf)] if gguf else sorted(path for path in checkpoint.glob("*.safetensors") if path.name not in _OWN)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 24):
            digest.update(part)
    return digest.hexdigest()


def _unpacked(gguf: Path, place: Path, say) -> Path:
    """The weights of a GGUF file as transformers reads them, as a checkpoint in float32."""
    from .adapters.transformers import Eager
    reference, folder = Eager(), place / gguf.stem
    say(f"unpacking {gguf.name}")
    folder.mkdir(exist_ok=True)
    model = reference.transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=reference.torch.float32)
    model.config.architectures = [type(model).__name__]
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config  # it is none any more
    model.config.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    for name in ("_name_or_path", "_model_name_or_path"):  # where it was read is no part of a model
        config.pop(name, None)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    tensors.save(folder / "model.safetensors", {name: value.numpy() for name, value in model.state_dict().items() if name not in tied})
    del model
    reference.transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    return folder


def _prompts(args, checkpoint: Path) -> dict[str, list[int]]:
    vocabulary = json.loads((checkpoint / "config.json").read_text())
    vocabulary = vocabulary.get("text_config", vocabulary).get("vocab_size", 1 << 30)
    if args.ids:
        read = json.loads(Path(args.ids).read_text())
        if not (isinstance(read, list) and read and all(isinstance(p, list) and p and all(isinstance(i, int) and 0 <= i < vocabulary for i in p) for p in read)):
            raise BadCase(f"{args.ids} is no list of lists of ids from 0 to {vocabulary - 1}")
        return {f"ids-{n}": ids for n, ids in enumerate(read)}
    texts = {f"prompt-{n}": text for n, text in enumerate(args.prompt)} or PROMPTS
    if not (checkpoint / "tokenizer.json").exists():
        raise BadCase(f"{checkpoint} has no tokenizer.json; give the prompts as ids: --ids FILE")
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    encoded = {name: tokenizer.encode(text, add_special_tokens=False).ids for name, text in texts.items()}
    return {name: [2, *(i for i in ids if i != 2)] for name, ids in encoded.items()}


def _case(place: Path, checkpoint: Path, name: str, ids: list[int], count: int) -> Path:
    """A case folder with links to the checkpoint; what is expected is filled in by the reference."""
    folder = place / f"{checkpoint.name}-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in checkpoint.iterdir():
        if path.is_file() and path.name not in _OWN:
            os.symlink(path.resolve(), folder / path.name)
    config = json.loads((checkpoint / "config.json").read_text())
    layers = config.get("text_config", config)["num_hidden_layers"]
    given = {"input_ids": np.array(ids, np.int32)}
    if len(ids) > _ROWS_OF_ALL:
        given["rows"] = np.unique(np.r_[0 : len(ids) : 16, len(ids) - 8 : len(ids)]).astype(np.int32)
    outputs = ["embed", *(f"hidden.{i}" for i in range(layers)), "final_norm", "logits", "greedy_ids", "greedy_logits"]
    about = {"case": folder.name, "content": f"{checkpoint.name} on {len(ids)} tokens", "new_tokens": count,
             "inputs": {k: {"shape": list(v.shape), "dtype": "I32"} for k, v in given.items()}, "outputs": {n: {} for n in outputs}}
    tensors.save(folder / "expected.safetensors", given)
    (folder / "case.json").write_text(json.dumps(about, indent=1))
    return folder


def _reference(folders: list[Path], memory: float | None, say) -> None:
    from .adapters.transformers import Eager, Sdpa
    ran: dict[Path, list[dict]] = {folder: [] for folder in folders}
    for cls in (Eager, Sdpa):
        reference = cls()
        if memory is not None:
            reference.memory = int(memory * 2**30)
        for folder in folders:
            say(f"transformers {reference.transformers.__version__}, {reference.attention}: {folder.name}")
            ran[folder].append(reference.run(Case(folder)))
    for folder, (eager, sdpa) in ran.items():
        about = json.loads((folder / "case.json").read_text())
        outputs = {}
        for name in about["outputs"]:
            if name not in eager:
                continue
            value = eager[name]
            outputs[name] = {"shape": list(value.shape), "dtype": "F32" if value.dtype.kind == "f" else "I32"}
            if value.dtype.kind == "f":
                rows = len(value)
                if name == "greedy_logits":  # up to the first step at which the two orders choose otherwise
                    differ = np.flatnonzero(eager["greedy_ids"] != sdpa["greedy_ids"])
                    rows = int(differ[0]) + 1 if differ.size else rows
                distance = float(np.max(np.abs(value[:rows].astype(np.float64) - sdpa[name][:rows]), initial=0))
                outputs[name] |= {"two_orders_max_abs": distance, "atol": max(40 * distance, 2e-5 * float(np.max(np.abs(value))))}
        about["outputs"] = outputs
        tensors.save(folder / "expected.safetensors", {**Case(folder).inputs, **{n: eager[n] for n in outputs}})
        (folder / "case.json").write_text(json.dumps(about, indent=1))
