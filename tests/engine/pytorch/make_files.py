#!/usr/bin/env python3
"""Writes the files of tests/engine/pytorch_file_test.cpp, with PyTorch 2.x, into this folder.

Most are written in both forms, NAME.zip.pt and NAME.legacy.pt. Values follow formulas that the test
knows.
"""

from collections import OrderedDict
from pathlib import Path

import numpy
import torch
from torch import nn

FOLDER = Path(__file__).parent


def save(name, value, **options):
    torch.save(value, FOLDER / f"{name}.zip.pt", **options)
    torch.save(value, FOLDER / f"{name}.legacy.pt", _use_new_zipfile_serialization=False, **options)


def tensors():
    base = torch.arange(12.0)  # one storage for several tensors
    result = OrderedDict()
    for dtype in ("float64", "float32", "float16", "bfloat16"):
        result[dtype] = torch.tensor([[0.5, -1.25], [3.0, 1e-3]], dtype=getattr(torch, dtype))
    for dtype in ("int64", "int32", "int16", "int8"):
        result[dtype] = torch.tensor([-5, 0, 100], dtype=getattr(torch, dtype))
    for dtype in ("uint8", "uint16", "uint32"):
        result[dtype] = torch.tensor([0, 7, 200], dtype=getattr(torch, dtype))
    result["bool"] = torch.tensor([True, False, True])
    result["special"] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    result["half_special"] = torch.tensor([float("nan"), float("-inf"), 6e-8, 65504.0]).half()
    result["scalar"] = torch.tensor(2.5)
    result["empty"] = torch.zeros(3, 0)
    result["base"] = base
    result["view"] = base[4:10].view(2, 3)
    result["transposed"] = base.view(3, 4).t()
    result["strided"] = base[1::5]
    result["expanded"] = base[2:3].expand(2, 3)
    result["permuted_half"] = torch.arange(6).view(1, 2, 3).half().permute(2, 0, 1)
    result["parameter"] = nn.Parameter(torch.tensor([1.0, 2.0]))
    result["attributed"] = nn.Parameter(torch.tensor([3.0]))
    result["attributed"].note = "an attribute"
    return result


def network():
    """tests/engine/pytorch_file_test.cpp builds the same."""
    net = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.3),
                        nn.Flatten(), nn.Linear(40, 5))
    for k, (name, value) in enumerate(net.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            value.fill_(7)
        else:
            value.copy_((torch.arange(value.numel()) % 17 / 8 + k / 4).view(value.shape))
    return net


def checkpoint():
    net = nn.Sequential(nn.DataParallel(network()[0]), *network()[1:])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    state = OrderedDict(("module." + name, value.clone()) for name, value in net.state_dict().items())
    net(torch.ones(2, 3, 4, 5)).sum().backward()
    optimizer.step()
    return {"epoch": 3, "arch": "small", "state_dict": state, "best_acc1": torch.tensor(0.5),
            "acc": numpy.float64(0.25), "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(), "big": 2**70, "text": "ü"}


def trained(optimizer_of, frozen=()):
    """A checkpoint after two updates whose gradients are 1, 2 and 3 for weight and 1 for bias."""
    net = nn.Sequential(OrderedDict(first=nn.Linear(1, 2), norm=nn.BatchNorm1d(2),
                                    last=nn.Linear(3, 1)))
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(not name.startswith(frozen))
    optimizer = optimizer_of([p for p in net.parameters() if p.requires_grad])
    for _ in range(2):
        for parameter in net.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.arange(1.0, 1 + parameter.numel()).view(parameter.shape)
        optimizer.step()
    return {"epoch": 2, "arch": "small", "state_dict": net.state_dict(),
            "optimizer": optimizer.state_dict()}


def optimizers():
    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.5)

    save("sgd", trained(sgd))
    save("adam", trained(lambda parameters: torch.optim.Adam(parameters, lr=0.1)))
    save("frozen", trained(sgd, frozen=("first", "norm")))
    save("frozen_last", trained(sgd, frozen=("last",)))
    save("amsgrad", trained(lambda parameters: torch.optim.Adam(parameters, amsgrad=True)))
    both = trained(sgd)
    save("two_optimizers", {**both, "optimizer_of_the_other": both["optimizer"]})


if __name__ == "__main__":
    torch.manual_seed(1)
    save("tensors", tensors())
    save("bare", network().state_dict())
    save("protocol4", network().half().state_dict(), pickle_protocol=4)
    save("checkpoint", checkpoint())
    tiny = {"w": torch.ones(1)}
    save("two", {"generator": tiny, "discriminator": {"w": torch.zeros(1)}})
    save("average", {"state_dict": tiny, "state_dict_ema": {"w": torch.zeros(1)}})
    save("nested", {"run": {"model": {**tiny, "_extra_state": None}}})
    save("mixed", {**tiny, "epoch": 3, "lr": 0.1})
    save("no_tensors", {"epoch": 3, "args": [1, 2]})
    save("tensor", torch.ones(2))
    # The legacy form would hold PyTorch's source and its path.
    torch.save(nn.Sequential(nn.ReLU()), FOLDER / "whole_network.zip.pt")
    save("complex", {"w": torch.ones(1), "z": torch.ones(1, dtype=torch.complex64)})
    optimizers()
