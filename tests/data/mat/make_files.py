#!/usr/bin/env python3
"""Writes the .mat files of tests/data/mat_file_test.cpp, with scipy 1.17, into this folder.

list.mat and compressed.mat are made as the lists of Stanford Dogs are: a column of cells
`file_list`, a column of cells `annotation_list`, a column of doubles `labels`.
"""

import struct
from pathlib import Path

import numpy
from scipy.io import loadmat, savemat

FOLDER = Path(__file__).parent


def cells(names):
    column = numpy.empty((len(names), 1), dtype=object)
    for row, name in enumerate(names):
        column[row, 0] = name
    return column


def save(name, variables, **options):
    savemat(FOLDER / name, variables, oned_as="column", **options)


BREEDS = ["n02085620-Chihuahua", "n02085782-Japanese_spaniel", "n02110806-basenji"]
FILES = [f"{breed}/{breed.split('-')[0]}_{number}.jpg" for breed in BREEDS for number in (7, 5927, 10074)]
LISTS = {
    "annotation_list": cells([file.removesuffix(".jpg") for file in FILES]),
    "labels": numpy.repeat([1.0, 2.0, 3.0], 3).reshape(-1, 1),
    "file_list": cells(FILES),
}
save("list.mat", LISTS)
save("compressed.mat", LISTS, do_compression=True)
save("other.mat", {"file_list": cells([f"{breed}/other_1.jpg" for breed in reversed(BREEDS)])})
# Beyond ASCII, beyond 16 bits, of at most four bytes (stored within the tag), and none at all.
save("unicode.mat", {"file_list": cells(["Löwchen/ü.jpg", "犬/\U0001F436.jpg", "a", "abcd", ""])})
save("shapes.mat", {
    "one_text": "alone.jpg",
    "matrix": numpy.array([["a", "c"], ["b", "d"]], dtype=object),
    "rows": numpy.array(["two", "row"]),
    "numbers": numpy.arange(4.0),
    "cells_of_numbers": cells(["text", numpy.arange(3.0)]),
    "nested": cells(["text", cells(["inner"])]),
    "structure": {"file_list": "x"},
    "none": numpy.empty((0, 1), dtype=object),
})
savemat(FOLDER / "level4.mat", {"labels": numpy.arange(3.0)}, format="4")
# 10 MB of one letter in 10 KB.
save("bomb.mat", {"file_list": cells(["x" * 10_000_000])}, do_compression=True)


def matlab(name, names, order):
    """As Matlab writes it: characters of 16 bits, in either byte order. scipy must agree."""

    def element(kind, data):
        if 0 < len(data) <= 4:
            small = struct.pack(order + "I", len(data) << 16 | kind)
            return small + data.ljust(4, b"\0")
        return struct.pack(order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    def matrix(array_class, rows, columns, variable, data):
        flags = element(6, struct.pack(order + "II", array_class, 0))
        dimensions = element(5, struct.pack(order + "ii", rows, columns))
        return element(14, flags + dimensions + element(1, variable) + data)

    codec = "utf-16-le" if order == "<" else "utf-16-be"
    texts = b"".join(matrix(4, 1, len(text), b"", element(4, text.encode(codec))) for text in names)
    mark = struct.pack(order + "HH", 0x0100, 0x4D49)
    header = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + mark
    path = FOLDER / name
    path.write_bytes(header + matrix(1, len(names), 1, b"file_list", texts))
    read = loadmat(path, uint16_codec=codec)["file_list"]
    assert [str(row[0][0]) for row in read] == names, name


MATLAB_NAMES = ["n02085620-Chihuahua/n02085620_5927.jpg", "a", "ab", "L\u00f6wchen.jpg"]
matlab("little.mat", MATLAB_NAMES, "<")
matlab("big.mat", MATLAB_NAMES, ">")
