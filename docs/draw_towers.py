#!/usr/bin/env python3
"""Draws docs/tower_*.svg: how a picture or a sound becomes tokens, for each released tower.

    docs/draw_towers.py --program build/release/bin/g4_tower_facts   asks the types anew, and draws
    docs/draw_towers.py                                              draws docs/towers.json, what they said last
    docs/draw_towers.py --check [--program ...]                      says whether all is what would be written; a test runs this

Every number comes from the types, by the program g4_tower_facts. The same facts give the same drawing, to the byte.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys
from html import escape

DOCS = pathlib.Path(__file__).resolve().parent
FACTS = DOCS / "towers.json"
WIDTH, LEFT, MARGIN, BOX = 980, 330, 24, 46
INK, PALE, LINE = "#212529", "#868e96", "#adb5bd"
FILL = {"host": "#e9ecef", "rows": "#d6e6fb", "layers": "#ffe3c7", "fewer": "#d8f0da", "text": "#eadcf6"}
EDGE = {"host": "#868e96", "rows": "#3b73b9", "layers": "#c9762b", "fewer": "#3c8f4a", "text": "#8250b0"}


class drawing:
    def __init__(self):
        self.parts = []

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, said, size=12, fill=INK, anchor="start", weight="normal", mono=False):
        family = ' font-family="Menlo, Consolas, monospace"' if mono else ""
        self.add(f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}"{family}>{escape(said)}</text>')

    def rect(self, x, y, w, h, fill, edge="none", radius=0, opacity=1):
        more = f' rx="{radius}"' if radius else ""
        more += f' fill-opacity="{opacity:g}"' if opacity != 1 else ""
        self.add(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" fill="{fill}" stroke="{edge}"{more}/>')

    def path(self, d, edge=INK, width=1.0, fill="none", arrow=False):
        end = ' marker-end="url(#to)"' if arrow else ""
        self.add(f'<path d="{d}" fill="{fill}" stroke="{edge}" stroke-width="{width:g}"{end}/>')

    def done(self, height, title):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
                f'font-family="Helvetica, Arial, sans-serif">\n<title>{escape(title)}</title>\n'
                f'<rect width="{WIDTH}" height="{height:g}" fill="#ffffff"/>\n'
                '<marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="9" '
                f'orient="auto"><path d="M0 0L8 4L0 8Z" fill="{PALE}"/></marker>\n')
        return head + "\n".join(self.parts) + "\n</svg>\n"


def count(n):
    return f"{n:,}".replace(",", " ")


def millions(n):
    return f"{n / 1e6:.1f} M" if n >= 1e6 else count(n)


# ---- what a stage says of itself ---------------------------------------------------------------------------------


def kind_of(stage, first, last, rows_before):
    if first:
        return "host"
    if last:
        return "text"
    if "parts" in stage:
        return "layers"
    return "fewer" if stage["rows"] < rows_before else "rows"


def words_of(stage, text):
    """A name and a second line."""
    word, p = stage["word"], stage.get("parts")
    name = word.split("<")[0].split("{")[0]
    inside = word[len(name):].strip()
    if p and "sizes" in p:
        return f"mobilenet: {p['blocks']} blocks", f"stem of {p['stem']} channels, {len(p['sizes'])} sizes of planes, the last two fused into {count(p['fused'])}"
    if p and "first" in p:
        return "subsample: two convolutions", f"side 3, stride 2, to {p['first']} and {p['second']} channels" + (", normed by all before" if p["cumulative"] else "")
    if p and "past" in p:
        return f"conformer: {p['layers']} layers", f"{p['heads']} heads see {p['past']} rows back, cap {p['cap']:g}; convolution of {p['side']}; half feeds of {p['wider']} x"
    if p:
        more = [f"{p['heads']} heads of {p['head']}", f"feed of {count(p['hidden'])}" + (", gated" if p["gated"] else "")]
        more += ["turned by column and row"] if p["rope"] else []
        more += ["clipped"] if p["clipped"] else []
        return f"encoder: {p['layers']} layers", ", ".join(more)
    if name == "into_text":
        hard = "own_ids" in word
        return "into_text", f"norm, product to {count(text)}" + (", norm; and rows of its own ids" if hard else "")
    said = {"picture::square": "resized, whatever its shape was", "picture::any_aspect": "resized to nearly its own shape",
            "patches": "squares of pixels, each a row", "centred": "0 … 1 to −1 … 1", "embed::linear": "a product" + (" and a bias" if "biased" in inside else ""),
            "positions::learned": "a row for each patch is added", "positions::per_axis": "a row for its column, one for its row",
            "norm::layer_t": "mean and variance of each row", "norm::layer": "mean and variance of each row",
            "mean_pooled": "the mean of each square of rows", "scaled_by_root_of_width": "times √width",
            "standardised": "(x − bias) · scale", "sound::waveform": "samples, one channel", "log_mel": "windows, their bands, logarithms",
            "frames": "stretches of samples, each a row", "every": "the first of every so many rows"}
    inside = inside.replace("<width", "").replace(", biased>", "").replace(">", "").strip("{}").replace("'", " ")
    return name + (f"  {inside[1:].replace(' = ', ' ').replace(', .', ', ') if inside.startswith('.') else inside}" if inside else ""), said.get(name, "")


# ---- the left column: what it looks like -------------------------------------------------------------------------


def scene(d, x, y, w, h):
    """Something to look at: hills under a sun."""
    d.rect(x, y, w, h, "#cfe8ff")
    d.add(f'<circle cx="{x + 0.74 * w:g}" cy="{y + 0.25 * h:g}" r="{0.11 * h:g}" fill="#ffd43b"/>')
    d.path(f"M{x:g} {y + 0.62 * h:g}Q{x + 0.25 * w:g} {y + 0.28 * h:g} {x + 0.5 * w:g} {y + 0.66 * h:g}T{x + w:g} {y + 0.55 * h:g}L{x + w:g} {y + h:g}L{x:g} {y + h:g}Z",
           "none", 0, "#8ce99a")
    d.path(f"M{x:g} {y + 0.8 * h:g}Q{x + 0.4 * w:g} {y + 0.6 * h:g} {x + w:g} {y + 0.82 * h:g}L{x + w:g} {y + h:g}L{x:g} {y + h:g}Z", "none", 0, "#51a35d")


def grid(d, x, y, w, h, down, across, edge, width=0.5):
    lines = "".join(f"M{x + i * w / across:.2f} {y:g}V{y + h:g}" for i in range(across + 1))
    lines += "".join(f"M{x:g} {y + i * h / down:.2f}H{x + w:g}" for i in range(down + 1))
    d.path(lines, edge, width)


def draw_picture(d, f, y):
    m = f["medium"]
    h = min(190, 240 * m["height"] / m["width"])
    w = h * m["width"] / m["height"]
    x = MARGIN
    last = [s for s in f["stages"] if "rows" in s][-1]["rows"]
    scene(d, x, y, w, h)
    if m["patch"] > 1:
        grid(d, x, y, w, h, m["down"], m["across"], "#ffffff", 0.4 if m["down"] > 30 else 0.9)
        said = f"{m['down']} × {m['across']} patches of {m['patch']} × {m['patch']} pixels"
    else:
        said = "planes of pixels, halved again and again"
    d.text(x, y + h + 16, f"{m['height']} × {m['width']} pixels", 12, INK)
    d.text(x, y + h + 31, said, 11, PALE)
    y += h + 52
    pooled = next((s for s in f["stages"] if s["word"].startswith("mean_pooled")), None)
    planes = next((s["parts"] for s in f["stages"] if "sizes" in s.get("parts", {})), None)
    if planes:
        at = x
        d.text(x, y + 10, "planes, and their channels", 11, PALE)
        for side, channels in [(planes["stem_side"], planes["stem"])] + [(s["side"], s["channels"]) for s in planes["sizes"]]:
            size = 13 + 40 * side / planes["stem_side"]
            d.rect(at, y + 18 + (53 - size), size, size, "#8ce99a", EDGE["layers"])
            d.text(at + size / 2, y + 84, f"{side}²", 10, INK, "middle")
            d.text(at + size / 2, y + 96, str(channels), 10, PALE, "middle")
            at += size + 16
        y += 116
    if pooled or planes:
        side = int(pooled["word"].split("=")[1].strip(" }")) if pooled else 0
        down, across = (m["down"] // side, m["across"] // side) if pooled else (planes["fused_side"], planes["fused_side"])
        hh = h * 0.62
        ww = hh * across / down
        scene(d, x, y, ww, hh)
        d.rect(x, y, ww, hh, "#ffffff", "none", 0, 0.45)
        grid(d, x, y, ww, hh, down, across, EDGE["fewer"], 0.8)
        d.text(x, y + hh + 16, f"{down} × {across} squares" + (f" of {side} × {side} rows" if pooled else ", drawn to one size and fused"), 11, PALE)
        y += hh + 36
    return draw_tokens(d, x, y, last, "a picture")


def draw_sound(d, f, y):
    m, x, w = f["medium"], MARGIN, 250
    rows = [s["rows"] for s in f["stages"] if "rows" in s]
    wave = "".join(f"{'M' if i == 0 else 'L'}{x + i * w / 250:.1f} {y + 34 + 30 * math.sin(i * i / 620) * math.sin(math.pi * i / 250):.1f}" for i in range(251))
    d.path(wave, EDGE["rows"], 1)
    d.text(x, y + 84, f"{m['seconds']:g} seconds: {count(m['samples'])} samples", 12, INK)
    y += 104
    if "bands" in m:
        across, down = 50, 16
        for i in range(across):
            for k in range(down):
                middle = down - 1 - (down - 2) * i / across
                warm = math.exp(-((k - middle) ** 2) / 5) * math.sin(math.pi * (i + 0.5) / across)
                shade = round(235 - 190 * warm)
                d.rect(x + i * w / across, y + k * 5, w / across, 5, f"#{shade:02x}{min(255, shade + 12):02x}{min(255, shade + 40):02x}")
        d.text(x, y + 97, f"{count(rows[0])} frames of {m['window']} samples, {m['step']} apart, in {m['bands']} bands", 11, PALE)
        y += 118
        n = next(s for s in f["stages"] if "past" in s.get("parts", {}))
        past, cells = n["parts"]["past"], 24
        for i in range(cells):
            sees = cells - 3 - past < i <= cells - 3
            d.rect(x + i * 10.2, y, 8.6, 22, FILL["layers"] if sees else "#f1f3f5", EDGE["layers"] if i == cells - 3 else LINE)
        d.path(f"M{x + (cells - 3) * 10.2 + 4.3:g} {y - 2:g}C{x + (cells - 3) * 10.2:g} {y - 18:g} {x + (cells - 2 - past) * 10.2:g} {y - 18:g} {x + (cells - 2 - past) * 10.2 + 4.3:g} {y - 2:g}", EDGE["layers"], 1, "none", True)
        d.text(x, y + 39, f"a row sees {past}, itself and those before it", 11, PALE)
        y += 62
    else:
        for i in range(25):
            d.rect(x + i * 10, y, 8.6, 26, FILL["rows"], EDGE["rows"])
        d.text(x, y + 43, f"{count(rows[0])} frames of {m['frame']} samples", 11, PALE)
        y += 64
    if "always" in f:
        d.text(x, y + 4, f"{rows[-1]} rows, and its last own id in the places left", 11, PALE)
        y += 20
    return draw_tokens(d, x, y, f.get("always", rows[-1]), "every sound" if "always" in f else "a sound")


def draw_tokens(d, x, y, n, what):
    """A prompt with the rows in it."""
    d.text(x, y + 12, "a prompt:", 11, PALE)
    y += 20
    at = x
    for said, fill in [("<bos>", "#f1f3f5"), ("begin", FILL["text"])]:
        w = 12 + 6.2 * len(said)
        d.rect(at, y, w, 22, fill, LINE, 3)
        d.text(at + w / 2, y + 15, said, 10, INK, "middle")
        at += w + 3
    for i in range(7):
        d.rect(at, y, 9, 22, FILL["text"], EDGE["text"], 2)
        at += 11
        if i == 3:
            d.text(at + 6, y + 14, "…", 12, EDGE["text"], "middle")
            at += 14
    for said, fill in [("end", FILL["text"]), ("What", "#f1f3f5")]:
        w = 12 + 6.2 * len(said)
        d.rect(at, y, w, 22, fill, LINE, 3)
        d.text(at + w / 2, y + 15, said, 10, INK, "middle")
        at += w + 3
    d.text(x, y + 39, f"{what} is {count(n)} tokens, its two marks aside", 12, INK)
    return y + 50


# ---- the right column: the stages --------------------------------------------------------------------------------


def draw_stages(d, f, y):
    x, w = LEFT, WIDTH - LEFT - MARGIN - 150
    stages = f["stages"]
    on_rows = next(i for i, s in enumerate(stages) if "rows" in s) + 1  # behind the host's
    most = max(s["rows"] * s.get("width", f["text"]) for s in stages if "rows" in s)
    before = 0
    for i, s in enumerate(stages):
        last = i + 1 == len(stages)
        kind = kind_of(s, i < on_rows, last, before)
        before = s.get("rows", 0)
        sizes = s.get("parts", {}).get("sizes", [])
        high = BOX + 17 * len(sizes)
        d.rect(x, y, w, high, FILL[kind], EDGE[kind], 5)
        name, said = words_of(s, f["text"])
        d.text(x + 12, y + 19, name, 13, INK, "start", "bold")
        d.text(x + 12, y + 36, said, 11, "#495057")
        for k, size in enumerate(sizes):
            blocks = size["blocks"]
            n = sum(b["times"] for b in blocks)
            kinds = []
            for b in blocks:
                one = b["is"].split("{")[0]
                if one not in kinds:
                    kinds.append(one)
            d.text(x + 24, y + 53 + 17 * k, f"{size['side']}² × {count(size['channels'])}:  {n} blocks of {', '.join(kinds)}", 11, "#495057")
        if "rows" in s:
            width = s.get("width", f["text"])
            d.text(x + w + 14, y + 19, f"[{s['rows']}, {width}]", 12, INK, "start", "normal", True)
            # As many numbers as there are, next to the most of any stage.
            share = 130 * s["rows"] * width / most
            d.rect(x + w + 14, y + 27, max(share, 1.5), 9, EDGE[kind], "none", 2, 0.75)
        if not last:
            d.path(f"M{x + w / 2:g} {y + high:g}V{y + high + 13:g}", PALE, 1.2, "none", True)
        y += high + 15
    return y


def draw(f):
    d = drawing()
    d.text(MARGIN, 30, f["tower"], 18, INK, "start", "bold")
    d.text(MARGIN, 49, f"of {', '.join(f['models'])}", 12, PALE)
    own = f"{millions(f['parameters'])} parameters and " if f["parameters"] else ""
    d.text(WIDTH - MARGIN, 30, f"{own}{millions(f['into_text'])} into a text of {count(f['text'])}", 12, PALE, "end")
    top = 76
    left = draw_picture(d, f, top) if f["of"] == "pictures" else draw_sound(d, f, top)
    right = draw_stages(d, f, top - 8)
    y = max(left, right) + 14
    x = MARGIN
    for kind, said in [("host", "on the host"), ("rows", "row by row"), ("layers", "layers, blocks, convolutions"), ("fewer", "fewer rows"), ("text", "into the text")]:
        d.rect(x, y - 9, 11, 11, FILL[kind], EDGE[kind], 2)
        d.text(x + 16, y + 1, said, 11, PALE)
        x += 30 + 6 * len(said)
    d.text(WIDTH - MARGIN, y + 1, "bars: numbers behind each stage", 11, PALE, "end")
    return d.done(math.ceil(y + 18), f"{f['tower']}: how {'a picture' if f['of'] == 'pictures' else 'ten seconds of sound'} becomes tokens")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true")
    p.add_argument("--program")
    o = p.parse_args()
    facts = FACTS.read_text(encoding="utf-8") if FACTS.exists() else ""
    if o.program:
        facts = subprocess.run([o.program], capture_output=True, text=True, check=True).stdout
    wanted = {FACTS: facts}
    for f in json.loads(facts):
        wanted[DOCS / f"tower_{f['tower']}.svg"] = draw(f)
    stale = [path.name for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    stale += [path.name for path in DOCS.glob("tower_*.svg") if path not in wanted]
    if o.check:
        if stale:
            sys.exit(f"docs/{', docs/'.join(sorted(stale))}: not what the types say; run docs/draw_towers.py --program g4_tower_facts")
        return
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")


main()
