#!/usr/bin/env python3
"""Checks that checkpoints go from Concord to PyTorch and back, and that training goes on.

round-trips: every architecture by .pth and by safetensors files, every bit compared. Each network is
trained for one epoch on a few drawn images, so that weights, batch-norm statistics and SGD's (of the
Trans-Net: Adam's) buffers are none of them trivial. Then

    Concord's last.safetensors -> concord-convert -> .pth -> torch.load(weights_only=True)
      -> load_state_dict (strict) of torchvision's network and of the optimiser
      -> torch.save, zip and legacy form -> concord-convert -> safetensors

must give the tensors of the beginning, by name, shape, dtype and bits, and so must safetensors' own
Python package in PyTorch's place.

continuation: PyTorch trains a resnet18 for three epochs with SGD and saves {epoch, arch, state_dict,
optimizer}; PyTorch and `concord-train --continue-from` go on from there over the same batches. The
losses must agree to 1e-3, and those of a run whose momentum is forgotten must not.

fine-tuning: the same from those weights with the layers before layer3 frozen (`--finetune`): the
losses must agree to 1e-3, and frozen parameters must keep every bit.

The exit code is 1 where something differs. Needs torch, torchvision, pillow and safetensors, which
building and testing Concord never do, and build/bin.

    python3 tools/check_interchange.py
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import PIL.Image
import safetensors
import safetensors.torch
import torch
import torchvision

PROGRAMS = pathlib.Path(__file__).resolve().parent.parent / "build/bin"
ARCHITECTURES = ["alexnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19",
                 "vgg19_bn", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
                 "resnext50_32x4d", "resnext101_32x8d", "trans_net"]
CHECKS = ["round-trips", "continuation", "fine-tuning"]


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


CLASSES = 4
# Networks at their beginning magnify rounding: at a rate of 0.01 PyTorch's own modes (threads,
# channels-last) are 1e-2 apart after ten of these steps, at this one 1e-4.
RATE = 2e-4
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def batch(data):
    """All training images, of the size that they are wanted in, and their labels."""
    images, labels = [], []
    for label, folder in enumerate(sorted((data / "train").iterdir())):
        for path in sorted(folder.iterdir()):
            pixels = numpy.asarray(PIL.Image.open(path).convert("RGB").resize((64, 64), 2))
            image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
            images.append((image - MEAN) / DEVIATION)
            labels.append(label)
    return torch.stack(images), torch.tensor(labels)


def epochs(network, optimizer, images, labels, count):
    """Each of one step, whose loss it yields."""
    network.train()
    for _ in range(count):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def concord_losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").open()]


def difference(ours, theirs):
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


def compare_losses(name, ours, theirs):
    worst = difference(ours, theirs)
    bad = not worst <= 1e-3
    print(f"{'FAIL' if bad else 'PASS'}  {name}: losses of {len(ours)} steps, {theirs[0]:.4f} to "
          f"{theirs[-1]:.4f}, differ by {worst:.1e} of them at most")
    return bad


def check_training(place, which):
    data = place / "few"
    run("concord-prepare", "synthetic", "--classes", CLASSES, "--train-per-class", 8,
        "--val-per-class", 1, "--image-size", 64, "--output-dir", data)
    images, labels = batch(data)
    torch.manual_seed(1)
    network = torchvision.models.resnet18(num_classes=CLASSES)
    options = {"lr": RATE, "momentum": 0.9, "weight_decay": 1e-4}
    optimizer = torch.optim.SGD(network.parameters(), **options)
    list(epochs(network, optimizer, images, labels, 3))
    file = place / "checkpoint.pth.tar"
    torch.save({"epoch": 3, "arch": "resnet18", "state_dict": network.state_dict(),
                "best_acc1": torch.tensor(0.5), "optimizer": optimizer.state_dict()}, file)
    common = ["--data", data, "--image-size", 64, "--batch-size", len(labels), "--lr", RATE,
              "--lr-schedule", "constant"]
    failed = False
    if "continuation" in which:
        forgetful = torchvision.models.resnet18(num_classes=CLASSES)
        forgetful.load_state_dict(network.state_dict())
        anew = torch.optim.SGD(forgetful.parameters(), **options)
        without = list(epochs(forgetful, anew, images, labels, 10))
        theirs = list(epochs(network, optimizer, images, labels, 10))
        run("concord-train", "--continue-from", file, *common, "--epochs", 13, "--output-dir",
            place / "continued")
        failed |= compare_losses("continuation", concord_losses(place / "continued"), theirs)
        apart = difference(without, theirs)
        print(f"{'PASS' if apart > 1e-2 else 'FAIL'}  continuation: without the momentum they would "
              f"differ by {apart:.1e}")
        failed |= not apart > 1e-2
    if "fine-tuning" in which:
        network.load_state_dict(torch.load(file, weights_only=True)["state_dict"])
        frozen = {}
        for name, parameter in network.named_parameters():
            if not name.startswith(("layer3", "layer4", "fc")):
                parameter.requires_grad_(False)
                frozen[name] = parameter.detach().clone()
        optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], **options)
        theirs = list(epochs(network, optimizer, images, labels, 10))
        run("concord-train", "--weights", file, "--finetune", "--reset-from", "none", *common,
            "--epochs", 10, "--output-dir", place / "tuned")
        failed |= compare_losses("fine-tuning", concord_losses(place / "tuned"), theirs)
        after = tensors(place / "tuned/last.safetensors")
        moved = [name for name, value in frozen.items() if not torch.equal(value, after[name])]
        moved += [name for name in frozen if f"optimizer/momentum_buffer/{name}" in after]
        still = [name for name, value in network.named_parameters()
                 if name not in frozen and f"optimizer/momentum_buffer/{name}" not in after]
        print(f"{'FAIL' if moved or still else 'PASS'}  fine-tuning: {len(frozen)} frozen tensors "
              "keep every bit and have no momentum")
        for name in moved + still:
            print(f"      {name}")
        failed |= bool(moved or still)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--arch", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES)
    parser.add_argument("--check", nargs="+", choices=CHECKS, default=CHECKS)
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as place:
        data = pathlib.Path(place) / "data"
        run("concord-prepare", "synthetic", "--classes", 2, "--train-per-class", 4,
            "--val-per-class", 1, "--image-size", 64, "--output-dir", data)
        failed |= check_training(pathlib.Path(place), arguments.check)
        for arch in arguments.arch if "round-trips" in arguments.check else []:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                problems, elements, count = check(arch, data, pathlib.Path(folder))
            failed = failed or bool(problems)
            print(f"{'FAIL' if problems else 'PASS'}  {arch}: {count} tensors, {elements:,} elements")
            for problem in problems[:10]:
                print(f"      {problem}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
