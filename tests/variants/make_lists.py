#!/usr/bin/env python3
"""Makes data/*.txt: the tensors of a released model's text part, layers that are alike on one line.

    python3 tests/variants/make_lists.py NAME LISTING         (LISTING: lines "name<TAB>(sizes)<TAB>type")
    python3 tests/variants/make_lists.py NAME LISTING eyes    data/NAME_eyes.txt: those of its MobileNet and what is behind it

A line of the result is a name and its sizes, outermost first; `{0-3,5}` stands for those layers. The tied head and the
towers are left out, and so is the prefix of the text model; of eyes, "model.".
"""
import pathlib
import re
import sys
from collections import defaultdict

name, listing, *part = sys.argv[1:]
lines = [line.split("\t") for line in pathlib.Path(listing).read_text().splitlines() if line.strip()]
prefix = "model.language_model." if any(l[0].startswith("model.language_model.") for l in lines) else "model."
rows = defaultdict(list)
for tensor, sizes, *_ in lines if not part else ():
    outside = tensor.startswith(("pre_projection", "post_projection", "masked_embedding"))
    if tensor == "lm_head.weight" or not (outside or tensor.startswith(prefix)):
        continue
    short = tensor if outside else tensor[len(prefix):]
    layer = re.match(r"layers\.(\d+)\.(.*)", short)
    sizes = "x".join(re.findall(r"\d+", sizes))
    rows[(layer[2] if layer else short, sizes, bool(layer))].append(int(layer[1]) if layer else -1)

for tensor, sizes, *_ in lines if part else ():
    found = re.match(r"model\.((vision_tower\.timm_model|embed_vision)\..*)", tensor)
    if not found:
        continue
    block = re.match(r"(.*\.blocks\.\d+)\.(\d+)(\..*)", found[1])
    sizes = "x".join(re.findall(r"\d+", sizes))
    rows[((block[1], block[3]) if block else found[1], sizes, bool(block))].append(int(block[2]) if block else -1)


def runs(layers):
    out, i = [], 0
    while i < len(layers):
        j = i
        while j + 1 < len(layers) and layers[j + 1] == layers[j] + 1:
            j += 1
        out.append(str(layers[i]) if i == j else f"{layers[i]}-{layers[j]}")
        i = j + 1
    return ",".join(out)


with open(pathlib.Path(__file__).parent / "data" / f"{'_'.join([name, *part])}.txt", "w") as out:
    for (tensor, sizes, in_layer), layers in sorted(rows.items(), key=lambda r: (r[0][2], r[0][0], r[1])):
        if part and in_layer:
            out.write(f"{tensor[0]}.{{{runs(sorted(layers))}}}{tensor[1]} {sizes}\n")
            continue
        out.write(f"layers.{{{runs(sorted(layers))}}}.{tensor} {sizes}\n" if in_layer else f"{tensor} {sizes}\n")
