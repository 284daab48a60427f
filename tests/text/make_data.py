"""Makes the data of tests/text: a small vocabulary in three forms, and what Hugging Face's tokenizers makes of texts.

    python make_data.py            needs the packages tokenizers and gguf

small.json     tokenizer.json: pieces, merges as strings, added tokens
scores.gguf    the same vocabulary with scores ("llama")
merges.gguf    the same vocabulary with merges ("gemma4")
small_cases.json   texts, ids with and without special tokens parsed, decoded text

and the seeds of the fuzz target in tests/fuzz/corpus/tokenizer; the first byte of each says what the rest is.
"""
import json
import pathlib
import random

import gguf
from tokenizers import Tokenizer, models, normalizers, trainers

here = pathlib.Path(__file__).parent / "data"
BLANK = "\u2581"

CORPUS = """
The three laws of thermodynamics are simple to say and hard to use. A model is a type, and a type is a promise.
She sells sea shells by the sea shore; the shells she sells are surely sea shells. naïve café résumé coöperate.
for (std::size_t i = 0; i < n; ++i) { sum += x[i] * y[i]; }    // the sum of products, nothing more
    if (a == b) return a;    else return b;        while (true) { continue; }
Größe und Straße, über allen Gipfeln ist Ruh. Les élèves ont réussi à l'école. El niño comió una manzana.
Быть или не быть, вот в чём вопрос. Привет, как дела? 日本語の文章を少しだけ書きます。今日は天気がいいです。
안녕하세요 세계. مرحبا بالعالم. नमस्ते दुनिया। 1234567890 3.14159 2.71828 10 100 1000 10000
Hello hello HELLO. don't can't won't it's he's. e.g., i.e., etc. "quoted" 'quoted' (parenthesised) [bracketed] {braced}
aaaa aaaaaaaa bbbb abababab --- ==== **** .... \t\ttabs\tand\tmore\t\t\ttabs
"""

FIRST = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<b>", "</b>", "<start_of_turn>", "<end_of_turn>"]
CONTROL = {"<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"}
USER = {"<b>", "</b>"}


def vocabulary():
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", BLANK)
    lines = [line for line in CORPUS.split("\n") if line] * 3 + ["\n\n\n\n", "\n\n", "        ", "    "] * 4
    trained.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=1100, min_frequency=3, show_progress=False))
    by_id = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    letters = [piece for piece, _ in by_id if len(piece) == 1 and piece not in "日आ\t"]
    # Some letters are left out, with all that holds them, to have characters that are no pieces.
    words = [piece for piece, _ in by_id if len(piece) > 1 and not set(piece) & set("日आ\t")]
    pieces = FIRST + [f"<0x{byte:02X}>" for byte in range(256)] + words + letters
    return pieces


def all_merges(pieces):
    """Every way to make a piece of two others: likelier pieces first, then the longer left half."""
    ids = {piece: i for i, piece in enumerate(pieces)}
    mergeable = [p for p in pieces if p not in CONTROL and not (p.startswith("<0x") and len(p) == 6)]
    known = set(mergeable)
    merges = []
    for piece in sorted(mergeable, key=lambda p: ids[p]):
        for cut in range(len(piece) - 1, 0, -1):
            if piece[:cut] in known and piece[cut:] in known:
                merges.append((piece[:cut], piece[cut:]))
    return merges


def tokenizer_json(pieces, merges):
    added = [dict(id=i, content=p, single_word=False, lstrip=False, rstrip=False, normalized=False, special=p in CONTROL)
             for i, p in enumerate(pieces) if p in CONTROL or p in USER]
    # Two tokens beyond the vocabulary.
    for offset, content in ((0, "<image_soft_token>"), (1, "two words")):
        added.append(dict(id=len(pieces) + offset, content=content, single_word=False, lstrip=False, rstrip=False,
                          normalized=content == "two words", special=content != "two words"))
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": BLANK},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": BLANK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {p: i for i, p in enumerate(pieces)}, "merges": [f"{a} {b}" for a, b in merges]},
    }


def write_gguf(path, model, pieces, merges):
    writer = gguf.GGUFWriter(str(path), "gemma3" if model == "llama" else "gemma4")
    kinds = [3 if p in CONTROL else 4 if p in USER else 6 if p.startswith("<0x") and len(p) == 6 else 1 for p in pieces]
    writer.add_tokenizer_model(model)
    writer.add_token_list(pieces)
    writer.add_token_types(kinds)
    if merges is None:
        writer.add_token_scores([-1000.0 if k != 1 else -float(i) for i, k in enumerate(kinds)])
    else:
        writer.add_token_merges([f"{a} {b}" for a, b in merges])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def texts(pieces):
    rng = random.Random(270)
    words = [p.replace(BLANK, " ") for p in pieces[len(FIRST) + 256:]]
    fixed = ["", " ", "  ", "a", "\n", "\n\n\n\n\n", "\t\t", " \u2581 ", "The three laws of thermodynamics are", "café",
             "日本語", "🙂", "👩‍👩‍👧‍👦", "e\u0301", "\u0000x", "\ufeffbom", "x" * 70, " " * 40, "ab" * 33, "<b>bold</b>",
             "<eos>", "a <end_of_turn> b", "< b>", "<b", "<0x41>", "<start_of_turn>user\nhi<end_of_turn>\n", "<unk><pad>",
             "<image_soft_token>", "two words", "<image_soft_token>two words<b>", "twotwo words words", "\u07ff\uffff\U0010ffff"]
    made = []
    for _ in range(90):
        kind = rng.randrange(5)
        if kind == 0:
            made.append("".join(rng.choice(words) for _ in range(rng.randint(1, 25))))
        elif kind == 1:
            made.append("".join(chr(rng.choice([rng.randint(32, 126), rng.randint(160, 1200), rng.randint(0x3000, 0x4000),
                                                rng.randint(0x1F300, 0x1F700)])) for _ in range(rng.randint(1, 20))))
        elif kind == 2:
            start = rng.randrange(len(CORPUS) - 50)
            made.append(CORPUS[start:start + rng.randint(1, 120)])
        elif kind == 3:
            made.append("".join(rng.choice(["a", "b", " ", "\n", "-", "=", ".", "aa", "the", "sea"]) * rng.randint(1, 9)
                                for _ in range(rng.randint(1, 12))))
        else:
            made.append("".join(rng.choice(FIRST + ["<", ">", " ", "b", "x\n", "two words", "<image_soft_token>"])
                                for _ in range(rng.randint(1, 10))))
    return fixed + made


def fuzz_seeds():
    corpus = pathlib.Path(__file__).parent.parent / "fuzz" / "corpus" / "tokenizer"
    corpus.mkdir(parents=True, exist_ok=True)
    pieces = ["<unk>", "<eos>"] + [f"<0x{byte:02X}>" for byte in range(256)] + ["a", "b", "ab", BLANK, BLANK + "a", "aa"]
    merges = [("a", "b"), (BLANK, "a"), ("a", "a")]
    document = tokenizer_json(pieces, merges)
    document["added_tokens"] = document["added_tokens"][:2] + [dict(document["added_tokens"][0], id=len(pieces), content="new")]
    for token, piece in zip(document["added_tokens"], ("<unk>", "<eos>")):
        token.update(id=pieces.index(piece), content=piece)
    document["model"]["merges"] = [list(merge) for merge in merges]
    pairs = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    seeds = {"json": b"\0" + (here / "small.json").read_bytes()[:60000], "json_pairs": b"\0" + pairs,
             "json_cut": b"\0" + pairs[:-40]}
    for name in ("scores", "merges"):
        seeds["gguf_" + name] = b"\1" + (here / f"{name}.gguf").read_bytes()
    rng = random.Random(5)
    for i in range(6):
        seeds[f"calls_{i}"] = bytes([2, i, 1, 0, 1, 40]) + bytes(
            rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 97, 98, 32, 60, 62]) for _ in range(200))
    for i, text in enumerate(["abab  <b><eos> aab", "\u00e9\u2581 \u00e9", "<<<b>>>   a\n\n", "a" * 300, "\U0001f642"]):
        seeds[f"text_{i}"] = b"\3" + text.encode()
    seeds["text_broken"] = b"\3a\xff\xc3(\xe2\x96 \xf0\x9f"
    for name, content in seeds.items():
        (corpus / name).write_bytes(content)


def main():
    here.mkdir(exist_ok=True)
    pieces = vocabulary()
    merges = all_merges(pieces)
    document = json.dumps(tokenizer_json(pieces, merges), ensure_ascii=False, separators=(",", ":"))
    (here / "small.json").write_text(document, encoding="utf-8")
    write_gguf(here / "scores.gguf", "llama", pieces, None)
    write_gguf(here / "merges.gguf", "gemma4", pieces, merges)
    reference = Tokenizer.from_str(document)
    rows = []
    for text in texts(pieces):
        row = {"text": text}
        for name, plain in (("ids", False), ("plain_ids", True)):
            reference.encode_special_tokens = plain
            row[name] = reference.encode(text, add_special_tokens=False).ids
        row["decoded"] = reference.decode(row["ids"], skip_special_tokens=False)
        row["shown"] = reference.decode(row["ids"], skip_special_tokens=True)
        rows.append(row)
    (here / "small_cases.json").write_text(
        json.dumps({"pieces": len(pieces), "merges": len(merges), "rows": rows}, ensure_ascii=False, separators=(",", ":")),
        encoding="utf-8")
    fuzz_seeds()
    print(len(pieces), "pieces,", len(merges), "merges,", len(rows), "texts")


if __name__ == "__main__":
    main()
