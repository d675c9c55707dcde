#!/usr/bin/env python3
"""Shows that concord-similarity and concord-variance take no more memory for more images: runs both
on N synthetic feature maps and prints the peak of each. Needs numpy.

    python3 tools/check_memory.py --images 100000 --work WORK [--bin build/bin] [--limit-mib 1024]

B's maps are a random linear map of A's channels plus noise, so that debiased CKA is known: both
measures that are printed must agree with it. Exits with 1 where one does not, or where a program took
more than the limit. WORK is a new folder; two stores of N x 4 KiB are written there and removed.
"""

import argparse
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys

import numpy

SHAPE = (64, 4, 4)
BLOCK = 1000


def write_stores(folder, images, noise, mixing):
    """a.safetensors and b.safetensors, block by block; returns the debiased CKA of their rows."""
    generator = numpy.random.default_rng(26)
    files = []
    for name in "ab":
        header = json.dumps({"features": {"dtype": "F32", "shape": [images, *SHAPE],
                                          "data_offsets": [0, images * 4 * numpy.prod(SHAPE).item()]}})
        header = header.encode().ljust(-(-len(header) // 8) * 8)
        file = open(folder / f"{name}.safetensors", "wb")
        file.write(struct.pack("<Q", len(header)) + header)
        files.append(file)
    for begin in range(0, images, BLOCK):
        count = min(BLOCK, images - begin)
        a = generator.standard_normal((count, *SHAPE))
        b = numpy.einsum("dc,nchw->ndhw", mixing, a) + noise * generator.standard_normal(a.shape)
        for file, maps in zip(files, (a, b)):
            file.write(maps.astype("<f4").tobytes())
    for file in files:
        file.close()
    # Of the covariances that generate them: A's is 1, B's M M^T + noise^2, the one between M.
    covariance = mixing @ mixing.T + noise**2 * numpy.eye(SHAPE[0])
    return (mixing**2).sum() / (numpy.sqrt(SHAPE[0]) * numpy.linalg.norm(covariance))


def run(words):
    """Peak resident MiB of a command; its output is shown."""
    child = subprocess.Popen(words)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(map(str, words))}: failed")
    return usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/bin"))
    parser.add_argument("--limit-mib", type=float, default=1024)
    options = parser.parse_args()
    options.work.mkdir(parents=True)
    try:
        mixing = numpy.random.default_rng(5).standard_normal((SHAPE[0], SHAPE[0])) / 8
        expected = write_stores(options.work, options.images, 1.0, mixing)
        stores = ["--features-a", options.work / "a.safetensors",
                  "--features-b", options.work / "b.safetensors"]
        few = options.work / "few"
        few.mkdir()
        write_stores(few, 2 * BLOCK, 1.0, mixing)
        run([options.bin / "concord-transnet", "--features-a", few / "a.safetensors",
             "--features-b", few / "b.safetensors", "--epochs", "2", "--lr", "1e-3",
             "--output-dir", options.work / "net", "--quiet"])
        peaks = {
            "concord-similarity": run(
                [options.bin / "concord-similarity", *stores, "--measures",
                 "cka,cka-debiased,cka-minibatch,cka-debiased-minibatch,procrustes",
                 "--output-dir", options.work / "similarity", "--quiet"]),
            "concord-variance": run(
                [options.bin / "concord-variance", *stores, "--weights",
                 options.work / "net" / "last.safetensors", "--quiet"]),
        }
        measures = json.loads((options.work / "similarity" / "similarity.json").read_text())["measures"]
        good = True
        for measure in measures:
            if "debiased" in measure["measure"]:
                close = abs(measure["value"] - expected) < 0.01
                good &= close
                print(f"{measure['measure']} {measure['value']:.4f}, of the generating covariances "
                      f"{expected:.4f}: {'agrees' if close else 'DIFFERS'}")
        for name, peak in peaks.items():
            good &= peak <= options.limit_mib
            print(f"{name}: {options.images} maps of {'x'.join(map(str, SHAPE))}, peak {peak:.0f} MiB "
                  f"(limit {options.limit_mib:.0f})")
        sys.exit(0 if good else 1)
    finally:
        shutil.rmtree(options.work)


if __name__ == "__main__":
    main()
