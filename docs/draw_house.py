#!/usr/bin/env python3
"""Draws docs/house.svg: the rooms of the house and who includes whom.

    docs/draw_house.py             writes docs/house.svg
    docs/draw_house.py --check     says whether it is what would be written; a test runs this

Everything comes from the tree: the rooms from the table of tests/house/layering_test.cc, what is in them from the table
of docs/house.md, the arrows from the `#include` lines. The same tree gives the same picture, to the byte.
"""
import argparse
import pathlib
import re
import sys
from html import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
GROUPS = ["#e9ecef", "#ffe3c7", "#d6e6fb", "#d8f0da", "#eadcf6"]      # fill of a box, by its part of the table
EDGES = ["#868e96", "#c9762b", "#3b73b9", "#3c8f4a", "#8250b0"]       # its frame, and the arrows that leave it
PROGRAM = "your program"
GAP_X, GAP_Y, LINE, MARGIN = 18, 44, 15, 16


# ---- the tree ----------------------------------------------------------------------------------------------------


def rooms_of_the_table():
    """{room: group} in the table's order; a blank line of the table begins a new group."""
    text = (ROOT / "tests/house/layering_test.cc").read_text(encoding="utf-8")
    table = text.split("const std::vector<room> house = {", 1)[1].split("\n};", 1)[0]
    rooms, group = {}, 0
    for line in table.strip("\n").split("\n"):
        group += not line.strip()
        found = re.match(r'\s*\{"([^"]+)", "', line)
        if found:
            rooms[found[1]] = group
    return rooms


def room_of(path, rooms):
    """The longest room that `path` lies in, as in the layering test."""
    fits = [room for room in rooms if path == room or path.startswith(room + "/")]
    return max(fits, key=len) if fits else path


def includes(file):
    return re.findall(r'^[ \t]*#[ \t]*include[ \t]*["<]((?:g4|kernels)/[^">]+)[">]', file.read_text(encoding="utf-8"), re.M)


def read_tree():
    """Rooms that are there, with their group, and {(from, to): number of include lines}."""
    table = rooms_of_the_table()
    kernels = ["kernels/cpu", "kernels/cuda"]
    named = dict(table, **dict.fromkeys(kernels, table.get("backend", 0)))
    present, arrows = {}, {}

    def add(file, here):
        present[here] = named.get(here, max(table.values()))
        for line in includes(file):
            there = room_of(line.removeprefix("g4/"), named)
            if there != here:
                arrows[here, there] = arrows.get((here, there), 0) + 1

    headers = ROOT / "include/g4"
    for file in sorted(headers.rglob("*")):
        if file.suffix in (".h", ".inl"):
            add(file, room_of(file.relative_to(headers).as_posix(), named))
    for folder in kernels:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".h", ".cc", ".cu", ".cuh"):
                add(file, folder)
    for file in sorted((ROOT / "examples").glob("0*/*.cc")):
        add(file, PROGRAM)
    return present, {arrow: n for arrow, n in sorted(arrows.items()) if arrow[1] in present}


def what_is_in_them():
    """{room: phrase} from the first two columns of the table of docs/house.md."""
    text = (ROOT / "docs/house.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text, re.M)
    return {room.rstrip("/"): re.sub(r"[`*]", "", phrase).strip() for room, phrase in rows}


# ---- the drawing -------------------------------------------------------------------------------------------------


def without_detours(arrows):
    """The arrows that no way over other rooms replaces, and all that a host writes."""
    below = {}
    for a, b in arrows:
        below.setdefault(a, set()).add(b)
    reach = {}

    def reached(room):
        if room not in reach:
            reach[room] = set()                       # a circle, which the layering test refuses, would end here
            reach[room] = set().union(below.get(room, set()), *(reached(b) for b in below.get(room, set())))
        return reach[room]

    return [(a, b) for a, b in arrows if a == PROGRAM or not any(b in reached(c) for c in below[a] if c != b)]


def layers_of(rooms, arrows):
    """Each room above all it includes; then up, as long as that shortens more arrows than it lengthens."""
    layer = dict.fromkeys(rooms, 0)
    for _ in rooms:
        for a, b in arrows:
            layer[a] = max(layer[a], layer[b] + 1)
    for _ in rooms:
        for room in rooms:
            above = [layer[a] for a, b in arrows if b == room]
            below = [b for a, b in arrows if a == room]
            if len(above) > len(below) and above:
                layer[room] = min(above) - 1
    return layer


def crossings(upper, lower, links):
    at = {node: i for i, node in enumerate(lower)}
    ends = [at[b] for a in upper for b in sorted((b for a2, b in links if a2 == a), key=at.get)]
    return sum(ends[i] > ends[j] for i in range(len(ends)) for j in range(i + 1, len(ends)))


def order(levels, links):
    """Sweeps that put every node at the mean of its neighbours; the order with the fewest crossings wins."""
    def all_crossings(ls):
        return sum(crossings(ls[i + 1], ls[i], links) for i in range(len(ls) - 1))

    best, fewest = [list(level) for level in levels], all_crossings(levels)
    now = [list(level) for level in levels]
    for sweep in range(24):
        up = sweep % 2 == 0
        for i in (range(1, len(now)) if up else range(len(now) - 2, -1, -1)):
            at = {node: j for j, node in enumerate(now[i - 1] if up else now[i + 1])}
            mean = {}
            for j, node in enumerate(now[i]):
                near = [at[b] for a, b in links if a == node and b in at] if up else \
                       [at[a] for a, b in links if b == node and a in at]
                mean[node] = sum(near) / len(near) if near else j
            now[i].sort(key=mean.get)
        better = True
        while better:                                  # neighbours change places where that helps
            better = False
            for level in now:
                for j in range(len(level) - 1):
                    before = all_crossings(now)
                    level[j], level[j + 1] = level[j + 1], level[j]
                    if all_crossings(now) < before:
                        better = True
                    else:
                        level[j], level[j + 1] = level[j + 1], level[j]
        if all_crossings(now) < fewest:
            best, fewest = [list(level) for level in now], all_crossings(now)
    return best


def spread(wanted, weight, room_between):
    """Places in order, `room_between` apart at least, as near to the wanted ones as can be (least squares)."""
    offset, blocks = 0.0, []
    for i, (want, w) in enumerate(zip(wanted, weight)):
        offset += room_between[i - 1] if i else 0.0
        blocks.append([want - offset, w, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            x, v, n = blocks.pop()
            y, u, m = blocks.pop()
            blocks.append([(x * v + y * u) / (v + u), v + u, n + m])
    places, offset = [], 0.0
    for x, _, n in blocks:
        for _ in range(n):
            i = len(places)
            offset += room_between[i - 1] if i else 0.0
            places.append(x + offset)
    return places


def wrap(phrase, width):
    lines = [""]
    for word in phrase.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


def thickness(n):
    return 1.3 if n < 3 else 2.2 if n < 8 else 3.4 if n < 20 else 5.0


def draw():
    rooms, numbers = read_tree()
    phrases = what_is_in_them()
    phrases.setdefault(PROGRAM, "examples/01 … 05")
    silent = [room for room in rooms if room not in phrases]
    if silent:
        sys.exit("docs/house.md has no row for " + ", ".join(silent))
    gone = [room for room in phrases if room not in rooms]
    if gone:
        sys.exit("docs/house.md has a row for " + ", ".join(gone) + ", which is not there")
    arrows = without_detours(numbers)
    layer = layers_of(list(rooms), arrows)

    # A long arrow passes one point on every layer between its ends.
    levels = [[] for _ in range(max(layer.values()) + 1)]
    for room in rooms:
        levels[layer[room]].append(room)
    links, ways = [], {}
    for a, b in arrows:
        way = [a] + [(a, b, i) for i in range(layer[a] - 1, layer[b], -1)] + [b]
        for point in way[1:-1]:
            levels[point[2]].append(point)
        links += zip(way, way[1:])
        ways[a, b] = way
    levels = order(levels, links)

    text = {room: wrap(phrases[room], 23) for room in rooms}
    width = {room: max([len(room) * 7.9] + [len(line) * 6.2 for line in text[room]]) + 18 for room in rooms}
    height = [max([34 + LINE * len(text[node]) for node in level if node in rooms], default=0) for level in levels]

    def wide(node):
        return width.get(node, 8)

    x = {node: 200.0 * (i - len(level) / 2) for level in levels for i, node in enumerate(level)}
    near = {}
    for a, b in links:
        strength = (1, 4, 30)[(a not in rooms) + (b not in rooms)]
        near.setdefault(a, []).append((b, strength))
        near.setdefault(b, []).append((a, strength))
    for sweep in range(1000):
        for level in levels if sweep % 2 == 0 else reversed(levels):
            gaps = [(wide(a) + wide(b)) / 2 + GAP_X for a, b in zip(level, level[1:])]
            weight = [sum(s for _, s in near.get(node, [])) or 1 for node in level]
            wanted = [sum(x[b] * s for b, s in near[node]) / w if node in near else x[node]
                      for node, w in zip(level, weight)]
            for node, place in zip(level, spread(wanted, weight, gaps)):
                x[node] = place
    left = min(x[node] - wide(node) / 2 for node in x) - MARGIN
    total_width = round(max(x[node] + wide(node) / 2 for node in x) - left + MARGIN)
    x = {node: round(place - left) for node, place in x.items()}
    width = {room: round(w / 2) * 2 for room, w in width.items()}

    top, y = {}, MARGIN
    for i in range(len(levels) - 1, -1, -1):
        top[i] = y
        y += height[i] + GAP_Y
    foot = y - GAP_Y + 34
    total_height = foot + 34

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_width} {total_height}" width="{total_width}" '
           f'height="{total_height}" font-family="Helvetica, Arial, sans-serif" font-size="12">',
           "<title>The rooms of g4: an arrow goes from a room to one that it includes</title>",
           f'<rect width="{total_width}" height="{total_height}" fill="#ffffff"/>']
    for group, colour in enumerate(EDGES):
        out.append(f'<marker id="to{group}" viewBox="0 0 8 8" refX="7" refY="4" markerUnits="userSpaceOnUse" '
                   f'markerWidth="11" markerHeight="11" orient="auto"><path d="M0 0L8 4L0 8Z" fill="{colour}"/></marker>')

    # Where arrows touch a box: side by side, in the order of where they come from.
    ends = {}
    for way in ways.values():
        ends.setdefault((way[0], "foot"), []).append(way)
        ends.setdefault((way[-1], "roof"), []).append(way)
    touch = {}
    for (room, side), those in ends.items():
        those.sort(key=lambda way: (x[way[1] if side == "foot" else way[-2]], str(way)))
        for i, way in enumerate(those):
            step = min(22, (width[room] - 20) / len(those))
            touch[way[0], way[-1], side] = round(x[room] + (i - (len(those) - 1) / 2) * step)
    for (a, b), way in ways.items():
        points = [(touch[a, b, "foot"], top[layer[a]] + height[layer[a]])]
        for point in way[1:-1]:
            points += [(x[point], top[point[2]] - 8), (x[point], top[point[2]] + height[point[2]] + 8)]
        points.append((touch[a, b, "roof"], top[layer[b]] - 1))
        path = f"M{points[0][0]} {points[0][1]}"
        for i, ((x0, y0), (x1, y1)) in enumerate(zip(points, points[1:])):
            half = round((y0 + y1) / 2)
            path += f"V{y1}" if x0 == x1 else f"C{x0} {half} {x1} {half} {x1} {y1}"
        group = rooms[a]
        out.append(f'<path d="{path}" fill="none" stroke="{EDGES[group]}" stroke-width="{thickness(numbers[a, b])}" '
                   f'marker-end="url(#to{group})"><title>{escape(a)} includes {escape(b)}</title></path>')
    for room, group in rooms.items():
        h, w, t = height[layer[room]], width[room], top[layer[room]]
        out.append(f'<rect x="{x[room] - w // 2}" y="{t}" width="{w}" height="{h}" rx="6" fill="{GROUPS[group]}" '
                   f'stroke="{EDGES[group]}"/>')
        line = t + round((h - LINE * (len(text[room]) + 1)) / 2) + 11
        out.append(f'<text x="{x[room]}" y="{line}" text-anchor="middle" font-size="13" font-weight="bold" '
                   f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace">{escape(room)}</text>')
        for i, words in enumerate(text[room]):
            out.append(f'<text x="{x[room]}" y="{line + LINE * (i + 1) + 1}" text-anchor="middle" fill="#343a40">'
                       f'{escape(words)}</text>')
    out.append(f'<text x="{total_width // 2}" y="{foot}" text-anchor="middle" fill="#495057">An arrow goes from a room to '
               'one that it includes; it is thicker where more lines say so,</text>')
    out.append(f'<text x="{total_width // 2}" y="{foot + LINE + 2}" text-anchor="middle" fill="#495057">and left out '
               'where a way over other rooms says it already.</text>')
    return "\n".join(out + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description="Draws docs/house.svg from the #include lines.")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    check = parser.parse_args().check
    file, drawing = ROOT / "docs/house.svg", draw()
    if not check:
        file.write_text(drawing, encoding="utf-8")
    elif not file.exists() or file.read_text(encoding="utf-8") != drawing:
        sys.exit("docs/house.svg is not what the #include lines say: run docs/draw_house.py")


if __name__ == "__main__":
    main()
