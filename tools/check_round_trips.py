#!/usr/bin/env python3
"""Sends every architecture from Concord to PyTorch and back, by .pth and by safetensors files, and
compares every bit.

Each network is trained for one epoch on a few drawn images, so that weights, batch-norm statistics
and SGD's (of the Trans-Net: Adam's) buffers are none of them trivial. Then

    Concord's last.safetensors -> concord-convert -> .pth -> torch.load(weights_only=True)
      -> load_state_dict (strict) of torchvision's network and of the optimiser
      -> torch.save, zip and legacy form -> concord-convert -> safetensors

must give the tensors of the beginning, by name, shape, dtype and bits, and so must safetensors' own
Python package in PyTorch's place. The exit code is 1 where one differs.

Needs torch, torchvision and safetensors, which building and testing Concord never do, and build/bin.

    python3 tools/check_round_trips.py
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import safetensors
import safetensors.torch
import torch
import torchvision

PROGRAMS = pathlib.Path(__file__).resolve().parent.parent / "build/bin"
ARCHITECTURES = ["alexnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19",
                 "vgg19_bn", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
                 "resnext50_32x4d", "resnext101_32x8d", "trans_net"]


def run(program, *arguments):
    result = subprocess.run([PROGRAMS / program, *map(str, arguments)], capture_output=True,
                            text=True)
    if result.returncode != 0:
        sys.exit(f"{program} {' '.join(map(str, arguments))}:\n{result.stderr}")


def tensors(path):
    with safetensors.safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def metadata(path):
    with safetensors.safe_open(path, "pt") as file:
        return file.metadata()


def differences(before, after):
    result = [f"{name} is missing" for name in before if name not in after]
    result += [f"{name} is new" for name in after if name not in before]
    for name in before:
        if name in after:
            a, b = before[name], after[name]
            same = a.dtype == b.dtype and a.shape == b.shape and \
                a.contiguous().numpy().tobytes() == b.contiguous().numpy().tobytes()
            if not same:
                result.append(f"{name} differs")
    return result


class TransNet(torch.nn.Module):
    """The parameters of Concord's, in the original's order."""

    def __init__(self, channels, orders):
        super().__init__()
        self.nonLinearLayers_p_pre = torch.nn.Parameter(torch.zeros(orders - 1))
        self.linearLayers_conv = torch.nn.ModuleList(
            torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(orders))


def train(arch, data, folder):
    """Concord's last.safetensors and the network and optimiser that PyTorch has for it."""
    if arch == "trans_net":
        for seed in 0, 1:
            net = folder / f"net-{seed}"
            run("concord-train", "--data", data, "--arch", "alexnet", "--image-size", 64,
                "--epochs", 1, "--batch-size", 4, "--seed", seed, "--output-dir", net)
            run("concord-features", "--weights", net / "last.safetensors", "--layer", "conv2",
                "--data", data, "--split", "train", "--output-dir", folder / f"maps-{seed}")
        run("concord-transnet", "--features-a", folder / "maps-0", "--features-b",
            folder / "maps-1", "--epochs", 2, "--batch-size", 3, "--output-dir", folder / "run")
        network = TransNet(192, 3)
        optimizer = torch.optim.Adam(network.parameters(), lr=1)
    else:
        run("concord-train", "--data", data, "--arch", arch, "--image-size", 64, "--epochs", 1,
            "--batch-size", 4, "--lr", 1e-3, "--output-dir", folder / "run")
        network = getattr(torchvision.models, arch)(num_classes=2)
        optimizer = torch.optim.SGD(network.parameters(), lr=1, momentum=0.5)
    return folder / "run/last.safetensors", network, optimizer


def check(arch, data, folder):
    last, network, optimizer = train(arch, data, folder)
    before = tensors(last)
    problems = []

    run("concord-convert", last, folder / "a.pth")
    run("concord-convert", folder / "a.pth", folder / "a.safetensors")
    problems += ["Concord alone: " + text
                 for text in differences(before, tensors(folder / "a.safetensors"))]
    if metadata(last) != metadata(folder / "a.safetensors"):
        problems.append("Concord alone: the metadata differ")

    checkpoint = torch.load(folder / "a.pth", weights_only=True)
    network.load_state_dict(checkpoint["state_dict"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    for legacy in False, True:
        form = "legacy" if legacy else "zip"
        again = folder / "b.pth"
        torch.save({"epoch": checkpoint["epoch"], "arch": arch, "state_dict": network.state_dict(),
                    "optimizer": optimizer.state_dict()}, again,
                   _use_new_zipfile_serialization=not legacy)
        run("concord-convert", "--force", again, folder / "b.safetensors")
        problems += [f"PyTorch, {form}: " + text
                     for text in differences(before, tensors(folder / "b.safetensors"))]

    run("concord-convert", "--state-dict", last, folder / "c.pth")
    network.load_state_dict(torch.load(folder / "c.pth", weights_only=True))

    safetensors.torch.save_file(before, folder / "d.safetensors")
    run("concord-convert", folder / "d.safetensors", folder / "e.safetensors")
    problems += ["safetensors: " + text
                 for text in differences(before, tensors(folder / "e.safetensors"))]
    return problems, sum(tensor.numel() for tensor in before.values()), len(before)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--arch", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES)
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as place:
        data = pathlib.Path(place) / "data"
        run("concord-prepare", "synthetic", "--classes", 2, "--train-per-class", 4,
            "--val-per-class", 1, "--image-size", 64, "--output-dir", data)
        for arch in arguments.arch:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                problems, elements, count = check(arch, data, pathlib.Path(folder))
            failed = failed or bool(problems)
            print(f"{'FAIL' if problems else 'PASS'}  {arch}: {count} tensors, {elements:,} elements")
            for problem in problems[:10]:
                print(f"      {problem}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
