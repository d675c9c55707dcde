#!/usr/bin/env python3
"""Writes the seeds of the fuzzers into tests/fuzz/corpus: small files of each kind that are read.

Needs Pillow. The seeds of the harnesses legacy and zip are tests/engine/pytorch, those of mat
tests/data/mat. Files named found_* are not made here: each is an input that once broke the contract (corpus/README.md).
"""

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

from PIL import Image

CORPUS = Path(__file__).parent / "corpus"


def write(harness, name, data):
    folder = CORPUS / harness
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


# --- safetensors ---


def safetensors(entries, metadata=None, pad=0):
    header, offset, data = {}, 0, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, dtype, shape, width in entries:
        count = 1
        for side in shape:
            count *= side
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [offset, offset + count * width]}
        offset += count * width
        data += bytes((7 * i) % 251 for i in range(count * width))
    text = json.dumps(header).encode() + b" " * pad
    return struct.pack("<Q", len(text)) + text + data


def write_safetensors():
    widths = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
              "U8": 1, "BOOL": 1, "F8_E4M3": 1, "C64": 8}
    write("safetensors", "dtypes",
          safetensors([(name, name, [3], width) for name, width in widths.items()]))
    write("safetensors", "shapes", safetensors(
        [("scalar", "F32", [], 4), ("empty", "F32", [0, 4], 4), ("four", "F16", [1, 2, 1, 3], 2)],
        {"format": "pt"}, 5))
    write("safetensors", "module", safetensors(
        [("module.features.0.weight", "F32", [2, 1], 4), ("module.features.0.bias", "F32", [2], 4)]))
    write("safetensors", "unaligned", safetensors([("a", "U8", [1], 1), ("b", "F32", [2], 4)]))
    write("safetensors", "none", safetensors([]))


# --- images ---


def picture(width, height, mode="RGB"):
    image = Image.new("RGB", (width, height))
    image.putdata([((x * 37 + y * 11) % 256, (x * y * 5) % 256, (x * x + 3 * y) % 256)
                   for y in range(height) for x in range(width)])
    return image.convert(mode)


def save(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, interlaced=0, extra=b""):
    """One of a kind that Pillow does not write: its rows count, and take turns with the filters.

    A palette has 4 colours, 2 at a depth of 1 bit."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    passes = [(width, height)]
    if interlaced:
        starts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
                  (0, 1, 1, 2)]
        passes = [((width - x + dx - 1) // dx, (height - y + dy - 1) // dy)
                  for x, y, dx, dy in starts]
    rows, count = b"", 0
    for columns, lines in passes:
        for line in range(lines if columns else 0):
            size = (columns * channels * depth + 7) // 8
            row = bytes((count + 29 * i) % 256 for i in range(size))
            if color == 3:  # the filters would make other numbers than the palette has
                row = bytes(byte & {1: 0xFF, 2: 0xFF, 4: 0x33, 8: 3}[depth] for byte in row)
                line = 0
            rows += bytes([line % 5]) + row
            count += 17
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(range(10, 70 if depth == 1 else 130, 10))) if color == 3 else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + extra +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_images():
    write("image", "baseline_420.jpg", save(picture(19, 13), "JPEG", quality=60))
    write("image", "progressive_422.jpg",
          save(picture(19, 13), "JPEG", quality=60, progressive=True, subsampling="4:2:2"))
    write("image", "restart_444.jpg",
          save(picture(19, 13), "JPEG", quality=40, subsampling="4:4:4", restart_marker_blocks=1))
    write("image", "gray.jpg", save(picture(9, 9, "L"), "JPEG", quality=50))
    write("image", "cmyk.jpg", save(picture(9, 9, "CMYK"), "JPEG", quality=50))
    exif = Image.Exif()
    exif[0x0112] = 6
    write("image", "turned.jpg", save(picture(8, 5), "JPEG", quality=50, exif=exif))
    for color, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16),
                          6: (8, 16)}.items():
        for depth in depths:
            write("image", f"color{color}_{depth}.png", png(7, 5, depth, color))
    write("image", "interlaced_rgb.png", png(9, 11, 8, 2, interlaced=1))
    write("image", "interlaced_palette.png",
          png(9, 11, 2, 3, interlaced=1, extra=chunk(b"tRNS", b"\0\x80")))
    write("image", "key.png", png(7, 5, 8, 2, extra=chunk(b"tRNS", bytes([0, 1, 0, 30, 0, 59]))))
    write("image", "gif", b"GIF89a\1\0\1\0\0\0\0;")


# --- lists of CUB-200-2011 ---


def write_cub200():
    lists = ["1 001.Albatross\n2 002.Auklet\n",
             "1 001.Albatross/a.jpg\n2 002.Auklet/b.jpg\n3 002.Auklet/c.jpg\n", "1 1\n2 2\n3 2\n",
             "1 1\n2 0\n3 1\n", "1 60.0 27.5 32.0 30.0\n2 -3 0 500 20\n3 1e1 2 0.5 0.25\n"]
    write("cub200", "whole", "\f".join(lists).encode())
    write("cub200", "windows", "\f".join(lists).replace("\n", "\r\n").encode())
    write("cub200", "twice", "\f".join(lists[:2] + ["1 1\n1 2\n"] + lists[3:]).encode())
    write("cub200", "leaves", "\f".join(lists).replace("001.Albatross/a", "../a").encode())


# --- annotations of Pascal VOC and Stanford Dogs ---


def annotation(*objects):
    text = "<annotation>\n\t<filename>%s</filename>\n"
    for name, difficult, (left, top, right, bottom) in objects:
        text += (f"\t<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>"
                 f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
                 "</bndbox><part><name>head</name></part></object>\n")
    return text + "</annotation>\n"


def write_annotated():
    both = annotation(("cow", 0, (1, 2, 30, "40.5")), ("person", 1, (-3, 0, 99, 20)))
    birds = annotation(("bird", 0, (5, 5, 5, 5)))
    write("voc", "whole", "\f".join(["a\n", "b\n", both, birds]).encode())
    write("voc", "lists", "\f".join(["a\nb\na\n", "", both, annotation()]).encode())
    write("voc", "entities", "\f".join(
        ["a\n", "b\n", '<?xml version="1.0"?>\n<!DOCTYPE annotation [<!ENTITY e "cow">]>\n' +
         both.replace("cow", "&e;"), birds.replace("bird", "<![CDATA[bird]]>&#x41;")]).encode())
    lists = ["n1-auk/a.jpg\n", "n2-bee/b.jpg\n"]
    write("dogs120", "whole", "\f".join(
        lists + [annotation(("auk", 0, (1, 2, 30, 40)), ("auk", 0, (9, 9, 50, 60))), birds]).encode())
    write("dogs120", "leaves", "\f".join(["n1-auk/../a.jpg\n"] + lists[1:] + [both, birds]).encode())


# --- archives ---


def write_archives():
    files = {"set/images.txt": b"1 a.jpg\n", "set/images/a.jpg": bytes(range(40)),
             "set/.hidden": b"x", "set/" + "long" * 30 + ".txt": b"long"}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    tar = plain.getvalue().rstrip(b"\0")
    tar += b"\0" * (-len(tar) % 512 + 1024)
    write("archive", "gnu.tar", tar)
    for name, pack in (("gz", lambda data: gzip.compress(data, mtime=0)), ("bz2", bz2.compress),
                       ("xz", lzma.compress)):
        write("archive", f"gnu.tar.{name}", pack(tar))
    for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE),
                       ("device", tarfile.CHRTYPE), ("folder", tarfile.DIRTYPE)):
        entry = tarfile.TarInfo("set/other")
        entry.type, entry.linkname = kind, "../../target"
        write("archive", f"{name}.tar", entry.tobuf(tarfile.PAX_FORMAT) + tar[:1536] + bytes(1024))
    entry = tarfile.TarInfo("set/" + "pax" * 60)
    entry.size, entry.pax_headers = 3, {"comment": "x", "mtime": "1.5"}
    write("archive", "pax.tar", entry.tobuf(tarfile.PAX_FORMAT) + b"abc".ljust(512, b"\0") +
          bytes(1024))
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for file, data in files.items():
                archive.writestr(zipfile.ZipInfo(file), data, method)
        write("archive", f"{name}.zip", stream.getvalue())


if __name__ == "__main__":
    write_safetensors()
    write_images()
    write_cub200()
    write_annotated()
    write_archives()
