"""`real`: an engine beside transformers on released weights, which this suite cannot bring.

The reference runs every prompt three times in float32: as it stands, with its sums in another order, and with angles from
float64. A tensor may be off by ORDERS times the distance of the second from the first, by ANGLES times that of the third, or by
SHARE of its largest value, whichever is most (README, "Limits of `real`").
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable

import numpy as np

from . import NotApplicable, cases, media, tensors
from .cases import BadCase, Case
from .results import Results
from .run import run

PROMPTS = {
    "english": "The three laws of thermodynamics are simple to state. The first says that energy is neither made nor lost;",
    "code": "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return",
    "german": "Über allen Gipfeln ist Ruh, in allen Wipfeln spürest du kaum einen Hauch; die Vögelein",
    "counting": "one two three four five six seven eight nine ten " * 3 + "one two three",
}
VERSE = " Verse {}: the boats came home at dusk, {} of them with fish and {} with nothing but wet nets."
AROUND = {media.PICTURE: ("Look at this:", "\nAnd at this:", "\nIn one word, what is in it?"),
          media.SOUND: ("Listen to this:", "\nAnd to this:", "\nWrite down what is said:")}

ORDERS = 40
ANGLES = 6
SHARE = 2e-5

_OWN = ("case.json", "expected.safetensors")  # of a case, and never written through a link
_ROWS_OF_ALL = 48  # positions up to which all rows are kept
_DTYPES = {"float32": "F32", "uint8": "U8"}


def run_real(make_engine, args, say: Callable[[str], None]) -> Results:
    if not args.checkpoint and not args.gguf:
        raise BadCase("real needs --checkpoint FOLDER or --gguf FILE")
    place = Path(args.work) if args.work else Path(tempfile.mkdtemp(prefix="g4-conformance-real."))
    place.mkdir(parents=True, exist_ok=True)
    try:
        checkpoint = Path(args.checkpoint) if args.checkpoint else _unpacked(Path(args.gguf), place, say)
        if not (checkpoint / "config.json").exists():
            raise BadCase(f"{checkpoint} has no config.json")
        from .adapters.transformers import AnotherOrder, ExactAngles, Reference
        reference = Reference()
        made = [_case(place, checkpoint, prompt, args.new_tokens) for prompt in _prompts(args, checkpoint, reference.transformers)]
        runs = (Reference, "eager attention"), (AnotherOrder, "in another order"), (ExactAngles, "angles from float64")
        _expected(made, runs, args.memory, say)
        hashes = [f"{path.name}: SHA-256 {_sha256(path)}" for path in _weights(checkpoint, args.gguf)]
        if args.gguf:
            os.environ["G4_CONFORMANCE_GGUF"] = os.path.abspath(args.gguf)
        say("running the engine")
        found = run(make_engine, [Case(folder) for folder in made], budget=args.budget, timeout=args.timeout, name=args.name)
        found.notes += [f"reference: transformers {reference.transformers.__version__}, torch {reference.torch.__version__}, float32 on a CPU, "
                        "in two orders of summation, and with angles from float64", *hashes]
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


@dataclasses.dataclass
class _Prompt:
    name: str
    level: str
    ids: list[int]
    kinds: list[int] | None = None  # of positions: 0 is text
    media: media.Media | None = None


def _config(checkpoint: Path) -> tuple[dict, dict]:
    """config.json, and the part of it that is of the text."""
    config = cases.read_json(checkpoint / "config.json")
    text = config.get("text_config") or config
    if not isinstance(text, dict) or not isinstance(text.get("num_hidden_layers"), int):
        raise BadCase(f"{checkpoint / 'config.json'} has no num_hidden_layers")
    return config, text


def _prompts(args, checkpoint: Path, transformers) -> list[_Prompt]:
    config, text = _config(checkpoint)
    vocabulary = text.get("vocab_size", 1 << 30)
    if args.ids:
        try:
            read = json.loads(Path(args.ids).read_text())
        except ValueError:
            read = None
        if not (isinstance(read, list) and read and all(isinstance(p, list) and p and all(isinstance(i, int) and 0 <= i < vocabulary for i in p) for p in read)):
            raise BadCase(f"{args.ids} is no list of lists of ids from 0 to {vocabulary - 1}")
        return [_Prompt(f"ids-{n}", "text", ids) for n, ids in enumerate(read)]
    ids_of = _ids_of(checkpoint, config, vocabulary)
    if args.prompt:
        return [_Prompt(f"prompt-{n}", "text", ids_of(said)) for n, said in enumerate(args.prompt)]
    wanted = args.level or ("text", "long", "pictures", "sound")
    made = [_Prompt(name, "text", ids_of(said)) for name, said in PROMPTS.items() if "text" in wanted]
    window = text.get("sliding_window")
    if "long" in wanted and window:
        count = window + 64
        ids = ids_of("".join(VERSE.format(n, n * 7 % 31, n * 5 % 23) for n in range(1, count // 10 + 2)))  # a verse has more than ten
        made.append(_Prompt("long", "long", ids[:count]))
    if "pictures" in wanted or "sound" in wanted:
        made += _with_media(checkpoint, config, wanted, ids_of, transformers)
    if not made:
        raise BadCase(f"{checkpoint} has nothing of {', '.join(wanted)}")
    return made


def _with_media(checkpoint: Path, config: dict, wanted, ids_of, transformers) -> list[_Prompt]:
    if not (config.get("vision_config") or config.get("audio_config")):
        return []
    full = transformers.AutoConfig.from_pretrained(checkpoint)
    made = []
    for level, given in (("pictures", media.pictures(full) if config.get("vision_config") else None),
                         ("sound", media.sounds(full, transformers) if config.get("audio_config") else None)):
        if given is not None and level in wanted:
            around = AROUND[given.kind]
            said = [around[0], *around[1:len(given.counts)], around[-1]]
            ids, kinds = given.laid_into([ids_of(piece)[min(n, 1):] for n, piece in enumerate(said)])  # one bos
            made.append(_Prompt(level, level, ids, kinds, given))
    return made


def _ids_of(checkpoint: Path, config: dict, vocabulary: int) -> Callable[[str], list[int]]:
    """A text as ids, bos first. Where there is no tokenizer.json, a text stands for as many drawn ids as it has words."""
    if (checkpoint / "tokenizer.json").exists():
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        encode = lambda said: tokenizer.encode(said, add_special_tokens=False).ids
    else:
        special = [i for name, i in config.items() if name.endswith(("_token_id", "_token_index")) and isinstance(i, int) and i > 99]
        most = min([vocabulary, *special])
        encode = lambda said: np.random.default_rng(len(said)).integers(min(3, most - 1), most, len(said.split())).tolist()
    return lambda said: [2, *(int(i) for i in encode(said) if i != 2)]


def _case(place: Path, checkpoint: Path, prompt: _Prompt, count: int) -> Path:
    """A case folder with links to the checkpoint; what is expected is filled in by the reference."""
    folder = place / f"{checkpoint.name}-{prompt.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in checkpoint.iterdir():
        if path.is_file() and path.name not in _OWN:
            os.symlink(path.resolve(), folder / path.name)
    given, length = {"input_ids": np.array(prompt.ids, np.int32)}, len(prompt.ids)
    about = {"case": folder.name, "content": f"{checkpoint.name} on {length} tokens", "levels": [prompt.level]}
    if prompt.media is not None:
        given |= prompt.media.given
        if prompt.media.types:
            given[prompt.media.types] = np.array(prompt.kinds, np.int32)
        about["content"] += f" with {prompt.media.what}"
    if length > _ROWS_OF_ALL:
        text = [i for i, kind in enumerate(prompt.kinds or ()) if kind == 0]
        given["rows"] = np.unique([*range(0, length, 16), *range(length - 8, length), *text]).astype(np.int32)
    layers = _config(checkpoint)[1]["num_hidden_layers"]
    inside = [f"attn.{i}.{part}" for i in range(layers) for part in ("query", "key", "value", "out")]
    inside += [f"{part}.{i}.out" for i in range(layers) for part in ("laurel", "mlp", "ple")] + [f"hidden.{i}" for i in range(layers)]
    outputs = ["vision.*", "audio.*", "embed", "per_layer_inputs", *inside, "final_norm", "logits",
               *(("greedy_ids", "greedy_logits") if count else ())]
    about |= {"new_tokens": count, "inputs": {k: {"shape": list(v.shape), "dtype": _DTYPES.get(v.dtype.name, "I32")} for k, v in given.items()},
              "outputs": {n: {} for n in outputs}}
    tensors.save(folder / "expected.safetensors", given)
    (folder / "case.json").write_text(json.dumps(about, indent=1))
    return folder


def _expected(folders: list[Path], runs, memory: float | None, say) -> None:
    """Runs the reference as it stands and in two other ways, and fills in what it makes and by how much the others differ."""
    first: dict[Path, dict] = {}
    away: dict[Path, list[dict[str, float]]] = {folder: [] for folder in folders}
    for cls, how in runs:
        reference = cls()
        if memory is not None:
            reference.memory = int(memory * 2**30)
        for folder in folders:
            say(f"transformers {reference.transformers.__version__}, {how}: {folder.name}")
            try:
                made = reference.run(Case(folder))
            except (BadCase, NotApplicable):
                raise
            except Exception as e:
                raise BadCase(f"the reference cannot run {folder.name}: {type(e).__name__}: {e}") from e
            if folder in first:
                away[folder].append(_distances(first[folder], made))
            else:
                first[folder] = made
    for folder, made in first.items():
        about, (orders, angles) = json.loads((folder / "case.json").read_text()), away[folder]
        about["outputs"] = outputs = {}
        for name in _in_order(made):
            value = made[name]
            outputs[name] = {"shape": list(value.shape), "dtype": "F32" if value.dtype.kind == "f" else "I32"}
            if value.dtype.kind == "f":
                outputs[name] |= {"two_orders_max_abs": orders[name], "exact_angles_max_abs": angles[name],
                                  "atol": max(ORDERS * orders[name], ANGLES * angles[name], SHARE * float(np.max(np.abs(value))))}
        tensors.save(folder / "expected.safetensors", {**Case(folder).inputs, **{n: made[n] for n in outputs}})
        (folder / "case.json").write_text(json.dumps(about, indent=1))


def _distances(one: dict, other: dict) -> dict[str, float]:
    """The largest difference of every tensor of reals."""
    found = {}
    for name, value in one.items():
        if value.dtype.kind == "f":
            rows = len(value)
            if name == "greedy_logits":  # up to the first step at which the two choose otherwise
                differ = np.flatnonzero(one["greedy_ids"] != other["greedy_ids"])
                rows = int(differ[0]) + 1 if differ.size else rows
            found[name] = float(np.max(np.abs(value[:rows].astype(np.float64) - other[name][:rows]), initial=0))
    return found


def _in_order(seen: dict) -> list[str]:
    """Names in the order data flows, which is the order in which the reference comes by them, but for the embedding: that is
    seen where the first layer reads it."""
    names = list(seen)
    if "embed" in seen and "per_layer_inputs" in seen:
        names.remove("embed")
        names.insert(names.index("per_layer_inputs"), "embed")
    return names
