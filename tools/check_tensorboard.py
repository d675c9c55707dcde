#!/usr/bin/env python3
"""Reads the TensorBoard files of runs with TensorBoard's own reader and compares them with the runs'
metrics.jsonl and last.safetensors. Needs tensorboard and numpy.

    python3 tools/check_tensorboard.py RUN [RUN...]

A RUN is the output folder of a program that trains, or holds such folders. Of each that has event
files every value of metrics.jsonl must come back, to the float32 it was stored as, at its epoch and at
no other; the speeds must agree as far as metrics.jsonl has digits; every bucket of a histogram must be
counted in its total, and the weights of the last epoch must have the number, least, largest, sum and
sum of squares that last.safetensors has; pictures must be PNG of the size that is said. Prints a row
for each run and exits with 1 where one does not agree.
"""

import argparse
import json
import math
import pathlib
import struct
import sys

import numpy
from tensorboard.backend.event_processing import event_accumulator

SPEEDS = {"speed/images_per_second": ("images_per_second", 0.05), "speed/seconds_per_epoch": ("seconds", 5e-4)}
NOT_VALUES = {"epoch", "seconds", "images_per_second"}
DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}


def tag_of(name):
    if name.startswith("val_"):
        return "val/" + name[4:]
    return "train/" + name.removeprefix("dL/")


def read_weights(path):
    """The tensors of a safetensors file by name, those of numpy's dtypes."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = data[8 + length :]
    return {name: numpy.frombuffer(body[slice(*entry["data_offsets"])], DTYPES[entry["dtype"]])
            for name, entry in header.items() if entry["dtype"] in DTYPES}


class Run:
    def __init__(self, folder):
        self.folder = folder
        self.problems = []
        self.checked = {}
        guidance = {kind: 0 for kind in event_accumulator.DEFAULT_SIZE_GUIDANCE}
        self.events = event_accumulator.EventAccumulator(str(folder), size_guidance=guidance)
        self.events.Reload()
        self.tags = self.events.Tags()
        self.metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    def wrong(self, text):
        self.problems.append(f"{self.folder}: {text}")

    def count(self, kind, tags, values):
        self.checked[kind] = (len(tags), values)

    def check_scalars(self):
        expected = {}
        for line in self.metrics:
            for name, value in line.items():
                if name not in NOT_VALUES:
                    expected.setdefault(tag_of(name), {})[line["epoch"]] = float(numpy.float32(value))
        values = 0
        for tag in sorted(set(expected) | set(self.tags["scalars"])):
            found = {}
            for event in self.events.Scalars(tag) if tag in self.tags["scalars"] else []:
                if event.step in found:
                    self.wrong(f"{tag}: step {event.step} comes twice")
                found[event.step] = event.value
            values += len(found)
            if tag in SPEEDS:
                name, tolerance = SPEEDS[tag]
                for line in self.metrics:
                    value = found.get(line["epoch"], math.nan)
                    if not abs(value - line[name]) <= tolerance * 1.001 + 1e-6 * abs(line[name]):
                        self.wrong(f"{tag}: {value} in epoch {line['epoch']}, metrics.jsonl has {line[name]}")
            elif tag == "speed/seconds_per_step":
                if set(found) != {line["epoch"] for line in self.metrics}:
                    self.wrong(f"{tag}: epochs {sorted(found)}")
            elif found != expected.get(tag):
                self.wrong(f"{tag}: {found}, metrics.jsonl has {expected.get(tag)}")
        self.count("scalars", self.tags["scalars"], values)

    def check_histograms(self):
        last = self.folder / "last.safetensors"
        weights = read_weights(last) if last.exists() else {}
        values = 0
        for tag in self.tags["histograms"]:
            kind, name = tag.split("/", 1)
            for event in self.events.Histograms(tag):
                histogram = event.histogram_value
                values += 1
                if sum(histogram.bucket) != histogram.num:
                    self.wrong(f"{tag}: step {event.step} counts {sum(histogram.bucket)} of {histogram.num}")
                tensor = weights.get(name)
                if tensor is None or tensor.dtype != "<f4":
                    continue
                if histogram.num != tensor.size:
                    self.wrong(f"{tag}: {histogram.num} values, {last.name} has {tensor.size}")
                if kind != "weights" or event.step != self.metrics[-1]["epoch"]:
                    continue
                wide = tensor.astype(numpy.float64)
                own = (histogram.min, histogram.max, histogram.sum, histogram.sum_squares)
                other = (wide.min(), wide.max(), wide.sum(), (wide * wide).sum())
                if not numpy.allclose(own, other, rtol=1e-9, atol=1e-9 * numpy.abs(wide).sum()):
                    self.wrong(f"{tag}: min, max, sum, squares {own}, {last.name} has {other}")
        self.count("histograms", self.tags["histograms"], values)

    def check_images(self):
        values = 0
        for tag in self.tags["images"]:
            for event in self.events.Images(tag):
                values += 1
                png = event.encoded_image_string
                size = struct.unpack(">II", png[16:24]) if png[:8] == b"\x89PNG\r\n\x1a\n" else None
                if size != (event.width, event.height):
                    self.wrong(f"{tag}: PNG of {size}, said to be {event.width}x{event.height}")
        self.count("images", self.tags["images"], values)

    def check_text(self):
        for tag in self.tags["tensors"]:
            text = self.events.Tensors(tag)[-1].tensor_proto.string_val[0].decode()
            command = json.loads((self.folder / "config.json").read_text())["command"]
            if command not in text:
                self.wrong(f"{tag}: does not hold the command of config.json")
        self.count("texts", self.tags["tensors"], len(self.tags["tensors"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pathlib.Path)
    runs = parser.parse_args().runs
    folders = sorted({events.parent for run in runs for events in run.rglob("events.out.tfevents.*")})
    if not folders:
        sys.exit(f"{', '.join(map(str, runs))}: no event files")
    problems = []
    for folder in folders:
        run = Run(folder)
        run.check_scalars()
        run.check_histograms()
        run.check_images()
        run.check_text()
        problems += run.problems
        kinds = ", ".join(f"{tags} {kind} ({values} values)" for kind, (tags, values) in run.checked.items())
        print(f"{folder}: {len(run.metrics)} epochs; {kinds}: {'WRONG' if run.problems else 'as stored'}")
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
