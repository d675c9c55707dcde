#!/usr/bin/env python3
"""concord-similarity beside implementations of others, on random rows with common directions.

    python3 tools/check_similarity.py [--bin build/bin]

Needs numpy, scipy, scikit-learn, statsmodels, repsim and safetensors. Prints each measure twice and exits with 1
where the two differ by more than --tolerance (1e-5: Concord prints six digits and reads float32). RBF CKA is
held to 1e-4, for repsim leaves the zero distances of rows to themselves out of the median. Debiased CKA is compared with Song et al.'s unbiased HSIC written
out here: repsim's estimators ("song", "lange") are others, and are printed to see.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import repsim
from safetensors.numpy import save_file
from scipy.spatial import procrustes
from sklearn.linear_model import LinearRegression
from statsmodels.multivariate.cancorr import CanCorr


def unbiased_hsic(k, l):
    """Song et al., Feature selection via dependence maximization, JMLR 2012, equation 5."""
    n = len(k)
    k, l = k.copy(), l.copy()
    numpy.fill_diagonal(k, 0)
    numpy.fill_diagonal(l, 0)
    return (numpy.trace(k @ l) + k.sum() * l.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k @ l).sum()) / (
        n * (n - 3))


def debiased_cka(a, b):
    k, l = a @ a.T, b @ b.T
    return unbiased_hsic(k, l) / numpy.sqrt(unbiased_hsic(k, k) * unbiased_hsic(l, l))


def kept_directions(x, share=0.99):
    x = x - x.mean(0)
    u, s, _ = numpy.linalg.svd(x, full_matrices=False)
    kept = numpy.searchsorted(numpy.cumsum(s**2) / numpy.sum(s**2), share) + 1
    return u[:, :kept] * s[:kept]


def r2(a, b):
    left = b - LinearRegression().fit(a, b).predict(a)
    return 1 - (left**2).sum() / ((b - b.mean(0)) ** 2).sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/bin"))
    parser.add_argument("--tolerance", type=float, default=1e-5)
    options = parser.parse_args()

    draw = numpy.random.default_rng(7)
    common = draw.normal(size=(300, 6))
    a = (common @ draw.normal(size=(6, 10)) + 0.5 * draw.normal(size=(300, 10))).astype(numpy.float32)
    b = (common @ draw.normal(size=(6, 8)) + 0.7 * draw.normal(size=(300, 8))).astype(numpy.float32)
    with tempfile.TemporaryDirectory() as folder:
        words = [str(options.bin / "concord-similarity"), "--output-dir", f"{folder}/out"]
        for name, x in (("a", a), ("b", b)):
            save_file({"features": x.reshape(300, -1, 1, 1)}, f"{folder}/{name}.safetensors")
            words += [f"--features-{name}", f"{folder}/{name}.safetensors"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        measures = json.loads(pathlib.Path(folder, "out/similarity.json").read_text())["measures"]
    ours = {measure["measure"]: measure["value"] for measure in measures}

    a, b = a.astype(numpy.float64), b.astype(numpy.float64)
    _, _, disparity = procrustes(a, numpy.pad(b, ((0, 0), (0, a.shape[1] - b.shape[1]))))
    theirs = {
        "cka": ("repsim", repsim.cka([a, b], kernel_type="linear", estimator="gretton")[0, 1]),
        "cka-debiased": ("Song's formula", debiased_cka(a, b)),
        "rbf-cka": ("repsim", repsim.cka([a, b], kernel_type="rbf", estimator="gretton")[0, 1]),
        "cca": ("statsmodels", CanCorr(a - a.mean(0), b - b.mean(0)).cancorr.mean()),
        "svcca": ("statsmodels", CanCorr(kept_directions(a), kept_directions(b)).cancorr.mean()),
        "pwcca, mean": ("repsim", repsim.pwcca([a, b])[0, 1]),
        "procrustes": ("scipy", numpy.sqrt(1 - disparity)),
        "r2-ab": ("scikit-learn", r2(a, b)),
        "r2-ba": ("scikit-learn", r2(b, a)),
    }
    ours["pwcca, mean"] = (ours["pwcca-a"] + ours["pwcca-b"]) / 2
    wrong = 0
    for measure, (whose, value) in theirs.items():
        differs = not abs(ours[measure] - value) <= (1e-4 if measure == "rbf-cka" else options.tolerance)
        wrong += differs
        print(f"{measure:13} {ours[measure]:.7f}  {whose:15} {value:.7f}{'  DIFFERS' if differs else ''}")
    for estimator in ("song", "lange"):
        value = repsim.cka([a, b], kernel_type="linear", estimator=estimator)[0, 1]
        print(f"to see: repsim's debiased CKA, \"{estimator}\": {value:.7f}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
