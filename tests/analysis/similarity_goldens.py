#!/usr/bin/env python3
"""Prints the goldens of similarity_support.h: the measures by their published formulas, in numpy.

Written from the papers and in other ways than analysis/similarity: kernels with explicit centring
matrices, HSIC_1 with its sums over kernels without diagonals (Song et al. 2012, eq. 5), canonical
correlations by inverse square roots of covariances, regression by lstsq, Procrustes by building
its rotation. The inputs are a linear congruential generator that the tests have too.

    python3 tests/analysis/similarity_goldens.py
"""
import numpy as np


def numbers(count, seed):
    state, values = seed, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state / 2**32 - 0.5)
    return np.array(values)


def inputs(n, d_a, d_b, seed):
    """A is random on a shifted, unequal scale; B is half a linear map of A and half its own."""
    a = numbers(n * d_a, seed).reshape(n, d_a) * (1 + np.arange(d_a)) + 3
    mix = numbers(d_a * d_b, seed + 1).reshape(d_a, d_b)
    b = a @ mix * 0.4 + numbers(n * d_b, seed + 2).reshape(n, d_b) * 2
    return a, b


def hsic0(k, l):
    n = len(k)
    h = np.eye(n) - np.ones((n, n)) / n
    return np.trace(k @ h @ l @ h) / (n - 1) ** 2


def hsic1(k, l):
    n = len(k)
    k = k - np.diag(np.diag(k))
    l = l - np.diag(np.diag(l))
    one = np.ones(n)
    return (
        np.trace(k @ l)
        + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (one @ k @ l @ one)
    ) / (n * (n - 3))


def cka(k, l, hsic):
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


def minibatch_cka(a, b, size, hsic):
    terms = np.zeros(3)
    for i in range(0, len(a), size):
        k, l = a[i : i + size] @ a[i : i + size].T, b[i : i + size] @ b[i : i + size].T
        terms += [hsic(k, l), hsic(k, k), hsic(l, l)]
    return terms[0] / np.sqrt(terms[1] * terms[2])


def rbf(x, bandwidth):
    d = np.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=2)
    return np.exp(-d / (2 * bandwidth**2 * np.median(d)))


def inverse_root(c):
    w, v = np.linalg.eigh(c)
    return v @ np.diag(w**-0.5) @ v.T


def canonical(a, b):
    """Correlations and A's canonical variates of unit length."""
    a, b = a - a.mean(0), b - b.mean(0)
    ia, ib = inverse_root(a.T @ a), inverse_root(b.T @ b)
    u, s, _ = np.linalg.svd(ia @ a.T @ b @ ib, full_matrices=False)
    return s, a @ ia @ u


def leading(x, share):
    x = x - x.mean(0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    k = np.searchsorted(np.cumsum(s**2) / np.sum(s**2), share) + 1
    return u[:, :k] * s[:k], k


def pwcca(a, b):
    s, h = canonical(a, b)
    weights = np.abs(h.T @ (a - a.mean(0))).sum(1)
    return (weights * s).sum() / weights.sum()


def r2(a, b):
    a, b = a - a.mean(0), b - b.mean(0)
    w = np.linalg.lstsq(a, b, rcond=None)[0]
    return 1 - np.sum((b - a @ w) ** 2) / np.sum(b**2)


def procrustes(a, b):
    a, b = a - a.mean(0), b - b.mean(0)
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    width = max(a.shape[1], b.shape[1])
    a = np.pad(a, ((0, 0), (0, width - a.shape[1])))
    b = np.pad(b, ((0, 0), (0, width - b.shape[1])))
    u, _, vt = np.linalg.svd(b.T @ a)
    return np.sum((a - b @ (u @ vt)) ** 2)


def main():
    for n, d_a, d_b, seed in ((40, 5, 7, 1), (61, 12, 4, 99), (16, 30, 22, 7)):
        a, b = inputs(n, d_a, d_b, seed)
        k, l = a @ a.T, b @ b.T
        values = {
            "cka": cka(k, l, hsic0),
            "cka_debiased": cka(k, l, hsic1),
            "minibatch": minibatch_cka(a, b, n // 4, hsic0) if n % 4 == 0 else np.nan,
            "minibatch_debiased": minibatch_cka(a, b, n // 4, hsic1) if n >= 40 and n % 4 == 0 else np.nan,
            "rbf": cka(rbf(a, 0.8), rbf(b, 0.8), hsic0),
            "rbf_debiased": cka(rbf(a, 0.8), rbf(b, 0.8), hsic1),
            "procrustes_distance": procrustes(a, b),
        }
        if n > d_a + d_b:
            la, ka = leading(a, 0.9)
            lb, kb = leading(b, 0.9)
            values |= {
                "mean_cca": canonical(a, b)[0].mean(),
                "svcca": canonical(la, lb)[0].mean(),
                "kept_a": ka,
                "kept_b": kb,
                "pwcca_a": pwcca(a, b),
                "pwcca_b": pwcca(b, a),
                "r2_ab": r2(a, b),
                "r2_ba": r2(b, a),
            }
        print(f"n={n} d_a={d_a} d_b={d_b} seed={seed}")
        for name, value in values.items():
            print(f"  .{name} = {value:.15g},")


main()
