#!/usr/bin/env python3
"""The rounding error of Winograd's F(4x4,3x3) by its interpolation points 0, +-a, +-b and infinity.

A numpy model in float32 against float64: weights and inputs from N(0, 1), 256 channels, 200 tiles. Prints
the pairs of eighths tried, best first, and the textbook's 1 and 2; then the direct convolution. Needs numpy,
which building and testing Concord never do. docs/kernels.md has the lesson.
"""

import numpy


def matrices(a, b):
    """A^T [4,6], B^T [6,6], G [6,3]."""
    p, q = a * a, b * b
    outputs = [[1, 1, 1, 1, 1, 0], [0, a, -a, b, -b, 0], [0, p, p, q, q, 0],
               [0, a * p, -a * p, b * q, -b * q, 1]]
    inputs = [[p * q, 0, -(p + q), 0, 1, 0], [0, -a * q, -q, a, 1, 0], [0, a * q, -q, -a, 1, 0],
              [0, -b * p, -p, b, 1, 0], [0, b * p, -p, -b, 1, 0], [0, p * q, 0, -(p + q), 0, 1]]
    scale_a, scale_b = 1 / (2 * p * (p - q)), 1 / (2 * q * (q - p))
    weights = [[1 / (p * q), 0, 0], [scale_a, scale_a * a, scale_a * p],
               [scale_a, -scale_a * a, scale_a * p], [scale_b, scale_b * b, scale_b * q],
               [scale_b, -scale_b * b, scale_b * q], [0, 0, 1]]
    return [numpy.array(m, dtype=numpy.float32) for m in (outputs, inputs, weights)]


def draw(channels=256, tiles=200):
    random = numpy.random.default_rng(0)
    d = random.standard_normal((tiles, channels, 6, 6)).astype(numpy.float32)
    g = random.standard_normal((channels, 3, 3)).astype(numpy.float32)
    return d, g


def correlate(d, g, dtype):
    y = numpy.zeros((d.shape[0], 4, 4), dtype)
    for c in range(d.shape[1]):
        for i in range(3):
            for j in range(3):
                y += d[:, c, i:i + 4, j:j + 4].astype(dtype) * dtype(g[c, i, j])
    return y


def winograd(d, g, a, b):
    outputs, inputs, weights = matrices(a, b)
    u = weights @ g @ weights.T
    v = inputs @ d @ inputs.T
    m = numpy.zeros((d.shape[0], 6, 6), numpy.float32)
    for c in range(d.shape[1]):
        m += u[c] * v[:, c]
    return outputs @ m @ outputs.T


def main():
    d, g = draw()
    exact = correlate(d, g, numpy.float64)
    deviation = numpy.sqrt((exact**2).mean())

    def error(y):
        return numpy.sqrt(((y - exact)**2).mean()) / deviation

    pairs = [(a / 8, b / 8) for a in range(2, 9) for b in range(6, 21) if b > a] + [(1, 2)]
    for e, a, b in sorted((error(winograd(d, g, a, b)), a, b) for a, b in set(pairs)):
        print(f"{a:5g} {b:5g}   {e:.2e}")
    print(f"direct        {error(correlate(d, g, numpy.float32)):.2e}")


if __name__ == "__main__":
    main()
