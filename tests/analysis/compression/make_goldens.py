"""Prints goldens.h: what numpy, by its own means, makes of the numbers that golden_values() draws.

k-means is written out by distances to every centroid, the Huffman bits are those of a heap of counts:
nothing is shared with the code under test.   python3 make_goldens.py > goldens.h
"""
import heapq

import numpy as np


def values():
    i = np.arange(4000, dtype=np.uint64)
    u = ((i * np.uint64(1664525) + np.uint64(1013904223)) % np.uint64(2**32)).astype(np.float64) / 2**32
    x = 2 * u - 1
    return (x * x * x * 0.3 + 0.01).astype(np.float32)


def lloyd(x, count):
    centroids = np.linspace(x.min(), x.max(), count)
    before = None
    while True:
        nearest = np.argmin(np.abs(x[:, None] - centroids[None, :]), axis=1)
        if before is not None and (nearest == before).all():
            break
        before = nearest
        for c in range(count):
            if (nearest == c).any():
                centroids[c] = x[nearest == c].mean()
    used = np.unique(nearest)
    return centroids[used], np.bincount(nearest, minlength=count)[used]


def huffman_bits(counts):
    heap = [count for count in counts if count]
    heapq.heapify(heap)
    bits = 0
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        bits += both
        heapq.heappush(heap, both)
    return bits


def array(kind, name, numbers):
    print(f"inline const std::vector<{kind}> {name} = {{{', '.join(repr(n) for n in numbers)}}};")


v = values().astype(np.float64)
deviation = float(np.std(v))
kept = v[np.abs(v) >= 0.2 * deviation]
print("#pragma once\n// By make_goldens.py, with numpy " + np.__version__ + ".\n\n#include <cstdint>\n#include <vector>\n")
print("namespace concord::test {\n")
print(f"inline constexpr double kDeviation = {deviation!r};")
print(f"inline constexpr int kKeptAtOneFifth = {len(kept)};")
print(f"inline constexpr int kKeptAtOne = {int((np.abs(v) >= deviation).sum())};")
print("// k-means of those kept at one fifth.")
for count in (1, 5, 32):
    centroids, sizes = lloyd(kept, count)
    array("double", f"kCentroids{count}", [float(c) for c in centroids])
    array("int", f"kSizes{count}", [int(s) for s in sizes])
print("// Of (j j 7919 mod 1000) + 1 symbols j, j = 0 .. 299.")
print(f"inline constexpr std::uint64_t kHuffmanBits = {huffman_bits([(j * j * 7919) % 1000 + 1 for j in range(300)])};")
print("\n}  // namespace concord::test")
