#!/usr/bin/env python3
"""Writes pytorch_goldens.h: what PyTorch gives for weights that the test makes by the same formula.

Computed in float64 from weights and images that are exact in float32. Needs torch and torchvision.
"""

import sys
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from compare_pytorch import trans_net  # noqa: E402 (its folder is known only now)

ARCHITECTURES = [("alexnet", 67), ("vgg11_bn", 37), ("vgg13", 33), ("resnet18", 35), ("resnet50", 40),
                 ("resnext50_32x4d", 33)]
CLASSES = 5
STEPS = 20


def numbers(seed, count):
    """count numbers in [-1, 1): Numerical Recipes' linear congruence, as pytorch_test.cpp has it."""
    factor, term = 1664525, 1013904223
    state = numpy.array([(seed * factor + term) % 2**32], dtype=numpy.uint32)
    # After n numbers the next n are those, each n steps on: x -> a x + c.
    a, c = factor, term
    while len(state) < count:
        state = numpy.concatenate([state, state * numpy.uint32(a) + numpy.uint32(c)])
        a, c = a * a % 2**32, (a * c + c) % 2**32
    return state[:count].astype(numpy.float64) / 2**31 - 1


def fill(tensor, seed, centre, bound):
    values = (centre + bound * numbers(seed, tensor.numel())).astype(numpy.float32)
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(values.astype(numpy.float64)).reshape(tensor.shape))


def filled(network):
    """In float64, the tensors filled in the order of their names."""
    network = network.double()
    state = {name: tensor for name, tensor in network.state_dict(keep_vars=True).items()
             if tensor.is_floating_point()}
    for seed, name in enumerate(sorted(state), start=1):
        tensor = state[name]
        if name.endswith("running_var") or name.endswith("weight") and tensor.dim() == 1:
            fill(tensor, seed, 1, 0.3)
        elif tensor.dim() == 1:
            fill(tensor, seed, 0, 0.1)
        else:
            fill(tensor, seed, 0, (6 / (tensor.numel() // tensor.shape[0])) ** 0.5)
    return network


def images(seed, *shape):
    tensor = torch.empty(shape, dtype=torch.float64)
    fill(tensor, seed, 0, 1.7)
    return tensor


def classifier():
    """A stem, a residual block that halves, a linear layer: steps that rounding errors survive."""
    block = BasicBlock(6, 10, 2, nn.Sequential(nn.Conv2d(6, 10, 1, 2, bias=False), nn.BatchNorm2d(10)))
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
                         nn.MaxPool2d(2), block, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(40, 4))


def classifier_losses(dtype=torch.float64):
    network = filled(classifier()).to(dtype).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    losses = []
    for step in range(STEPS):
        labels = torch.tensor([(3 * step + i) % 4 for i in range(8)])
        loss = F.cross_entropy(network(images(1000 + step, 8, 3, 12, 12).to(dtype)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def trans_net_losses():
    network = filled(trans_net(16)).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, weight_decay=1e-4)
    losses = []
    for step in range(STEPS):
        a, b = images(2000 + step, 3, 16, 5, 7), images(3000 + step, 3, 16, 5, 7)
        loss = F.mse_loss(network(a), b) + (0.1 * network.gates() ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def row(values):
    lines, line = [], "   "
    for value in values:
        text = f" {value:.9g},"
        if len(line) + len(text) > 100:
            lines.append(line)
            line = "   "
        line += text
    return "\n".join(lines + [line.rstrip(",")])


def main():
    text = ["#pragma once",
            f"// Written by make_pytorch_goldens.py with PyTorch {torch.__version__.split('+')[0]}, float64.", "",
            "#include <vector>", "", "namespace concord::test {", "",
            "// Logits of two images of `size` pixels a side, five classes.", "struct LogitsGolden {",
            "  const char* arch;", "  int size;", "  std::vector<double> logits;", "};",
            "inline const LogitsGolden kLogitsGoldens[] = {"]
    for arch, size in ARCHITECTURES:
        network = filled(torchvision.models.get_model(arch, weights=None, num_classes=CLASSES)).eval()
        with torch.no_grad():
            logits = network(images(500, 2, 3, size, size)).flatten().tolist()
        text += [f'    {{"{arch}", {size}, {{', row(logits), "    }},"]
        del network
    text += ["};", "", "// The losses of 20 steps, each on a batch of its own.",
             "inline const std::vector<double> kClassifierLosses = {", row(classifier_losses()), "};",
             "inline const std::vector<double> kTransNetLosses = {", row(trans_net_losses()), "};", "",
             "}  // namespace concord::test", ""]
    Path(__file__).with_name("pytorch_goldens.h").write_text("\n".join(text))


if __name__ == "__main__":
    main()
