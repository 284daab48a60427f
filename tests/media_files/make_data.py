#!/usr/bin/env python3
"""Makes data/: tiny pictures and sounds in every format, and what Pillow and librosa read of them.

    python3 tests/media_files/make_data.py        # needs pillow, numpy, soundfile, librosa and soxr

The files are committed; this says where they come from. Made with Pillow 13.0.0, librosa 0.11.0, soxr 1.1.0.
"""
import io
import json
import pathlib
import struct
import zlib

import librosa
import numpy as np
import soundfile
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent / "data"
rng = np.random.default_rng(11)


def pixels(height, width, channels):
    """Smooth, with an edge and some noise, so that chroma and rounding show."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    v = 128 + 90 * np.sin(x / 3 + c) * np.cos(y / 4 - c) + 30 * ((x + 2 * y) % 7 == 0) + rng.integers(-9, 10, x.shape)
    return np.clip(v, 0, 255).astype(np.uint8)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(height, width, depth, colours, rows, *others):
    """A PNG of rows as they are: Pillow itself writes few of the kinds that it reads."""
    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    body = b"".join(b"\0" + row for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(others) + chunk(b"IDAT", zlib.compress(body)) +
            chunk(b"IEND", b""))


def exif(orientation, order=">"):
    mark = b"MM\0*" if order == ">" else b"II*\0"
    return mark + struct.pack(order + "IH", 8, 1) + struct.pack(order + "HHIHH", 0x112, 3, 1, orientation, 0) + b"\0" * 4


def saved(array, kind, mode=None, **how):
    out = io.BytesIO()
    (Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)).save(out, kind, **how)
    return out.getvalue()


def pictures():
    rgb, grey = pixels(9, 13, 3), pixels(9, 13, 1)[:, :, 0]
    rgba = np.dstack([rgb, pixels(9, 13, 1)])
    yield "rgb.png", saved(rgb, "PNG")
    yield "rgba.png", saved(rgba, "PNG")
    yield "grey.png", saved(grey, "PNG")
    yield "grey_alpha.png", saved(np.dstack([grey, 255 - grey]), "PNG")
    yield "palette.png", saved(rgb, "PNG", mode="P")
    wide = rng.integers(0, 65536, (5, 6, 4)).astype(">u2")
    small = rng.integers(0, 700, (5, 6)).astype(">u2")
    yield "rgb16.png", png(5, 6, 16, 2, [r.tobytes() for r in wide[:, :, :3]])
    yield "rgba16.png", png(5, 6, 16, 6, [r.tobytes() for r in wide])
    yield "grey16.png", png(5, 6, 16, 0, [r.tobytes() for r in small])
    yield "grey_alpha16.png", png(5, 6, 16, 4, [r.tobytes() for r in wide[:, :, :2]])
    yield "grey1.png", png(3, 10, 1, 0, [bytes(r) for r in rng.integers(0, 256, (3, 2), np.uint8)])
    yield "grey2.png", png(3, 10, 2, 0, [bytes(r) for r in rng.integers(0, 256, (3, 3), np.uint8)])
    yield "grey4.png", png(3, 9, 4, 0, [bytes(r) for r in rng.integers(0, 256, (3, 5), np.uint8)])
    plte = chunk(b"PLTE", bytes(rng.integers(0, 256, 33, np.uint8)))
    yield "palette4_beyond.png", png(3, 9, 4, 3, [bytes(r) for r in rng.integers(0, 256, (3, 5), np.uint8)], plte,
                                     chunk(b"tRNS", b"\0\x80"))
    yield "gamma.png", png(9, 13, 8, 2, [r.tobytes() for r in rgb], chunk(b"gAMA", struct.pack(">I", 100000)))
    yield "turned_6.png", png(9, 13, 8, 2, [r.tobytes() for r in rgb], chunk(b"eXIf", exif(6)))
    xmp = b'<rdf:Description tiff:Orientation="8"/>'
    yield "turned_8_xmp.png", png(9, 13, 8, 2, [r.tobytes() for r in rgb],
                                  chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))

    yield "interlaced.png", adam7(rgb)

    large = pixels(27, 35, 3)
    yield "444.jpg", saved(large, "JPEG", quality=90, subsampling=0)
    yield "422.jpg", saved(large, "JPEG", quality=80, subsampling=1)
    yield "420.jpg", saved(large, "JPEG", quality=75, subsampling=2)
    yield "progressive.jpg", saved(large, "JPEG", quality=70, progressive=True)
    yield "grey.jpg", saved(pixels(27, 35, 1)[:, :, 0], "JPEG")
    yield "cmyk.jpg", cmyk(pixels(17, 19, 4))
    for i in range(2, 9):
        yield f"turned_{i}.jpg", saved(pixels(10, 15, 3), "JPEG", exif=b"Exif\0\0" + exif(i, "<" if i % 2 else ">"))

    yield "lossless.webp", saved(rgb, "WEBP", lossless=True)
    yield "alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True)
    yield "lossy.webp", saved(large, "WEBP", quality=70)
    yield "turned_5.webp", saved(rgb, "WEBP", lossless=True, exif=b"Exif\0\0" + exif(5))
    frames = [Image.fromarray(pixels(9, 13, 3)) for _ in range(2)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    yield "animation.webp", out.getvalue()

    yield "p6.ppm", b"P6 # a comment\n13 9\n255\n" + rgb.tobytes()
    yield "p6_100.ppm", b"P6\n13 9\n100\n" + (rgb // 3).tobytes()
    yield "p6_1000.ppm", b"P6\n6 5\n1000\n" + (wide[:, :, :3].astype(np.int64) % 1001).astype(">u2").tobytes()
    yield "p5.pgm", b"P5\n13 9\n255\n" + grey.tobytes()
    yield "p5_65535.pgm", b"P5\n6 5\n65535\n" + small.tobytes()
    yield "p5_1000.pgm", b"P5\n6 5\n1000\n" + (small % 8).astype(">u2").tobytes()
    yield "p4.pbm", b"P4\n10 3\n" + bytes(rng.integers(0, 256, 6, np.uint8))
    yield "p3.ppm", b"P3\n2 2\n15\n0 1 2  3 4 5 # half\n 6 7 8 9 10 15\n"
    yield "p2.pgm", b"P2 3 1 255 0 127 255"
    yield "p1.pbm", b"P1\n# bits\n5 2\n01101\n1 0 0 1 0\n"


def cmyk(array):
    out = io.BytesIO()
    Image.frombytes("CMYK", (array.shape[1], array.shape[0]), array.tobytes()).save(out, "JPEG", quality=95)
    return out.getvalue()


def adam7(rgb):
    height, width = rgb.shape[:2]
    body = b""
    for y0, x0, dy, dx in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]:
        for row in rgb[y0::dy, x0::dx]:
            if row.size:
                body += b"\0" + row.tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def tones(rate, channels, seconds):
    t = np.arange(round(rate * seconds)) / rate
    both = [0.4 * np.sin(2 * np.pi * (300 + 170 * c) * t + c) + 0.2 * np.sin(2 * np.pi * 2900 * t) for c in range(channels)]
    return np.stack(both, axis=1).astype(np.float32)


def sounds():
    def file(kind, subtype, rate, channels, seconds=0.03):
        out = io.BytesIO()
        soundfile.write(out, tones(rate, channels, seconds), rate, format=kind, subtype=subtype)
        return out.getvalue()

    yield "16k_mono.wav", file("WAV", "PCM_16", 16000, 1)
    yield "44k_stereo.wav", file("WAV", "PCM_16", 44100, 2)
    yield "8k_byte.wav", file("WAV", "PCM_U8", 8000, 1)
    yield "48k_float_3.wav", file("WAV", "FLOAT", 48000, 3)
    yield "22k_24.wav", file("WAV", "PCM_24", 22050, 1)
    yield "11k_wavex.wav", file("WAVEX", "PCM_16", 11025, 2)
    yield "44k_stereo.flac", file("FLAC", "PCM_16", 44100, 2)
    yield "96k_24.flac", file("FLAC", "PCM_24", 96000, 1, 0.02)
    yield "48k_vorbis.ogg", file("OGG", "VORBIS", 48000, 1)
    yield "48k_opus.ogg", file("OGG", "OPUS", 48000, 2)
    yield "44k.mp3", file("MP3", "MPEG_LAYER_III", 44100, 2, 0.08)


def main():
    HERE.mkdir(exist_ok=True)
    expected = {"pictures": [], "sounds": []}
    for name, data in pictures():
        (HERE / name).write_bytes(data)
        seen = np.array(ImageOps.exif_transpose(Image.open(HERE / name)).convert("RGB"))
        expected["pictures"].append({"file": name, "height": seen.shape[0], "width": seen.shape[1],
                                     "rgb": seen.tobytes().hex()})
    for name, data in sounds():
        (HERE / name).write_bytes(data)
        heard, _ = librosa.load(HERE / name, sr=16000)
        expected["sounds"].append({"file": name, "samples": [round(float(x), 7) for x in heard]})
    lines = [json.dumps(kind) + ": [\n" + ",\n".join(json.dumps(e) for e in expected[kind]) + "]" for kind in expected]
    (HERE / "expected.json").write_text("{" + ",\n".join(lines) + "}\n")


main()
