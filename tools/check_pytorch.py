#!/usr/bin/env python3
"""Shows that Concord gives PyTorch's numbers: pixels, logits and losses, one line for each figure.

    pixels  pictures decoded and resized, against Pillow, to the bit
    logits  every architecture with weights that torch.save wrote, on pictures that both decode,
            resize and normalise: the largest |difference| over the largest |logit|
    losses  20 training steps, each on a batch of its own, from the same weights, float32, without
            dropout: the largest |difference| / |loss|. Rounding errors grow from step to step, in
            untrained networks with batch norms beyond what is allowed, in PyTorch too: where its
            float32 does not stay near its own float64 the line says DIFF (FAIL if Concord is ten
            times as far) and for how many steps it did.
    program 20 steps of concord-train itself, from a PyTorch file and a folder of pictures

A line says PASS or FAIL; DIFF for a difference that is explained, and no pass; SKIP for what cannot be
tried here. Exits with 1 where one says FAIL. tools/compare_pytorch.py compares the speed. Needs torch,
torchvision and Pillow, which building and testing Concord never do, and build/bin.

    python3 tools/check_pytorch.py
    python3 tools/check_pytorch.py --only logits --arch resnet18 --image-size 224
"""

import argparse
import contextlib
import ctypes
import ctypes.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import compare_pytorch as compare

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "fuzz"))
import make_corpus  # noqa: E402 (its folder is known only now)

ARCHITECTURES = [
    "alexnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
    "resnext101_32x8d",
]
MOST_LOGIT_DIFFERENCE = 1e-4
MOST_LOSS_DIFFERENCE = 1e-3
STEPS = 20
LOSS_IMAGE_SIZE = 112
STEP_WORK = ["train:resnet18@8", "train:vgg11_bn@8", "train:alexnet@8", "transnet:256x14x14@4"]
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
SEED = 1


class Report:
    """Prints a line for each figure as it comes, and counts those that fail."""

    def __init__(self):
        self.failures = 0
        self.lines = []

    def line(self, passed, what, figure):
        self.failures += not passed
        self.lines.append({"passed": bool(passed), "what": what, "figure": figure})
        print(f"{'PASS' if passed else 'FAIL'}  {what}: {figure}", flush=True)

    def known(self, what, figure):
        """A difference that is explained: neither a pass nor a failure."""
        self.lines.append({"passed": None, "what": what, "figure": figure})
        print(f"DIFF  {what}: {figure}", flush=True)

    def skip(self, what, why):
        print(f"SKIP  {what}: {why}", flush=True)


def run(command):
    """Standard output of a program; an error says what it said."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True,
                          env={"OMP_WAIT_POLICY": "passive", **os.environ})
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1])
    return done.stdout


# --- pixels ---


def noise(width, height, mode="RGB", seed=SEED):
    """Some of everything: smooth parts, edges, noise."""
    import numpy
    from PIL import Image

    random = numpy.random.default_rng([seed, width, height])
    y, x = numpy.mgrid[0:height, 0:width]
    planes = [127 + 120 * numpy.sin(x / 7 + c) * numpy.cos(y / (5 + c)) for c in range(3)]
    pixels = numpy.stack(planes, axis=2) + random.normal(0, 12, (height, width, 3))
    pixels[(x // 9 + y // 6) % 5 == 0] = random.integers(0, 256, 3)
    return Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8)).convert(mode)


class TurboJpeg:
    """libturbojpeg, for kinds of JPEG that Pillow does not write."""

    SAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2, "4:4:0": 4, "4:1:1": 5}
    RGB, CMYK = 0, 11

    def __init__(self):
        name = ctypes.util.find_library("turbojpeg")
        if name is None:
            raise OSError("libturbojpeg was not found")
        self.library = ctypes.CDLL(name)
        self.library.tjInitCompress.restype = ctypes.c_void_p
        self.library.tjFree.argtypes = [ctypes.c_void_p]

    def encode(self, image, sampling, progressive=False):
        handle = ctypes.c_void_p(self.library.tjInitCompress())
        data, size = ctypes.c_void_p(), ctypes.c_ulong()
        pixel_format = self.CMYK if image.mode == "CMYK" else self.RGB
        code = self.library.tjCompress2(
            handle, image.tobytes(), image.width, 0, image.height, pixel_format,
            ctypes.byref(data), ctypes.byref(size), self.SAMPLINGS[sampling], 80,
            16384 if progressive else 0)
        if code != 0:
            raise OSError("libturbojpeg failed")
        result = ctypes.string_at(data, size.value)
        self.library.tjFree(data)
        self.library.tjDestroy(handle)
        return result


def jpegs():
    """Pairs of a description and a file."""
    from PIL import Image

    sizes = [(1, 1), (1, 17), (17, 1), (8, 8), (16, 16), (61, 37), (97, 101)]
    for width, height in sizes:
        for sampling in ("4:4:4", "4:2:2", "4:2:0"):
            for progressive in (False, True):
                yield (f"{'progressive' if progressive else 'baseline'} {sampling}",
                       make_corpus.save(noise(width, height), "JPEG", quality=80,
                                        subsampling=sampling, progressive=progressive))
        for quality in (1, 30, 100):
            yield (f"quality {quality}",
                   make_corpus.save(noise(width, height), "JPEG", quality=quality))
        yield "optimised", make_corpus.save(noise(width, height), "JPEG", optimize=True)
        for mode in ("L", "CMYK"):
            for progressive in (False, True):
                yield (f"{mode}{' progressive' if progressive else ''}",
                       make_corpus.save(noise(width, height, mode), "JPEG", progressive=progressive))
        yield "RGB, no YCbCr", make_corpus.save(noise(width, height), "JPEG", keep_rgb=True)
        yield ("restart markers",
               make_corpus.save(noise(width, height), "JPEG", restart_marker_blocks=2))
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            yield "EXIF orientation", make_corpus.save(noise(width, height), "JPEG", exif=exif)
    with contextlib.suppress(OSError):
        turbo = TurboJpeg()
        for width, height in sizes:
            for sampling in turbo.SAMPLINGS:
                for progressive in (False, True):
                    yield (f"libturbojpeg {sampling}",
                           turbo.encode(noise(width, height), sampling, progressive))
                    yield (f"YCCK {sampling}",
                           turbo.encode(noise(width, height, "CMYK"), sampling, progressive))


def pngs():
    for color, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16),
                          6: (8, 16)}.items():
        for depth in depths:
            for interlaced in (0, 1):
                for width, height in [(1, 1), (1, 9), (9, 1), (7, 5), (33, 19)]:
                    kind = {0: "gray", 2: "RGB", 3: "palette", 4: "gray with alpha",
                            6: "RGB with alpha"}[color]
                    name = f"{kind}, {depth} bits{', interlaced' if interlaced else ''}"
                    yield name, make_corpus.png(width, height, depth, color, interlaced)
                    key = {0: b"\0\1", 2: bytes([0, 1, 0, 30, 0, 59]), 3: b"\0\x80"}.get(color)
                    if key:
                        yield (f"{kind}, {depth} bits, transparency",
                               make_corpus.png(width, height, depth, color, interlaced,
                                               make_corpus.chunk(b"tRNS", key)))


def concord_pixels(arguments, folder, data, size=None):
    import numpy
    from PIL import Image

    (folder / "in").write_bytes(data)
    command = [arguments.bin / "concord-inspect", folder / "in", "--output", folder / "out.png",
               "--force"]
    if size:
        command += ["--resize", f"{size[0]}x{size[1]}"]
    run(command)
    with Image.open(folder / "out.png") as image:
        return numpy.asarray(image.convert("RGB")).astype(int)


def compare_pixels(ours, theirs):
    """The largest difference of a channel, or None where the sizes differ."""
    return int(abs(ours - theirs).max()) if ours.shape == theirs.shape else None


# What Concord decodes in another way than Pillow, on purpose (data/image.h).
DOCUMENTED = {"gray, 16 bits": "high byte; Pillow clips to 255"}


def check_decoding(report, arguments, folder, what, files):
    import numpy
    from PIL import Image

    results = {}
    for kind, data in files:
        with Image.open(io.BytesIO(data)) as image:
            theirs = numpy.asarray(image.convert("RGB")).astype(int)
        try:
            difference = compare_pixels(concord_pixels(arguments, folder, data), theirs)
        except RuntimeError as error:
            difference = str(error)
        results.setdefault(kind, []).append(difference)
    for kind, differences in results.items():
        documented = next((text for start, text in DOCUMENTED.items() if kind.startswith(start)), "")
        equal = differences.count(0)
        figure = f"{equal} of {len(differences)} equal to the bit"
        if equal < len(differences):
            worst = next((d for d in differences if isinstance(d, str)), None) or \
                f"differs by up to {max((d for d in differences if d is not None), default='size')}"
            figure += f"; {documented or worst}"
        if documented and equal < len(differences):
            report.known(f"{what}, {kind}", figure)
        else:
            report.line(equal == len(differences), f"{what}, {kind}", figure)


RESIZES = [
    ((1, 1), (1, 1)), ((1, 1), (7, 5)), ((1, 13), (13, 1)), ((13, 1), (1, 13)), ((1, 97), (224, 224)),
    ((97, 1), (224, 224)), ((2, 2), (3, 3)), ((37, 23), (1, 1)), ((37, 23), (37, 11)),
    ((37, 23), (19, 23)), ((101, 103), (97, 89)), ((97, 89), (101, 103)), ((500, 333), (224, 224)),
    ((333, 500), (224, 224)), ((500, 375), (299, 299)), ((61, 59), (224, 224)), ((224, 224), (97, 97)),
    ((640, 3), (5, 7)), ((3, 640), (7, 5)), ((1999, 17), (31, 29)), ((255, 257), (256, 256)),
    ((64, 64), (64, 65)), ((1, 4000), (3, 3)), ((4000, 1), (3, 3)), ((1023, 767), (113, 127)),
]


def check_pixels(report, arguments, folder):
    import numpy
    from PIL import Image

    check_decoding(report, arguments, folder, "JPEG", jpegs())
    check_decoding(report, arguments, folder, "PNG", pngs())
    try:
        TurboJpeg()
    except OSError as error:
        report.skip("JPEG 4:1:1, 4:4:0 and YCCK", error)
    equal, worst, turned = 0, [], 0
    for source, target in RESIZES:
        image = noise(*source)
        ours = concord_pixels(arguments, folder, make_corpus.save(image, "PNG"), target)
        difference = compare_pixels(ours, numpy.asarray(rows_first(image, target)).astype(int))
        equal += difference == 0
        if difference != 0:
            worst.append(f"{source} to {target} by up to {difference}")
        at_once = compare_pixels(ours, numpy.asarray(image.resize(target, Image.BILINEAR)).astype(int))
        if at_once != difference:
            turned += 1
            if not at_once or at_once > 1 or not is_tall(source, target):
                worst.append(f"{source} to {target} at once by up to {at_once}")
    report.line(not worst, "resize, bilinear", f"{equal} of {len(RESIZES)} equal to the bit" +
                "".join(f"; {text}" for text in worst))
    if turned:
        report.known("resize, bilinear, Pillow 13 and later",
                     f"{turned} of {len(RESIZES)} differ by at most 1: tall pictures, of which this "
                     "Pillow resizes the columns first")


def rows_first(image, size):
    """As Pillow before 13 did it at once, and as Concord does."""
    from PIL import Image

    return image.resize((size[0], image.height), Image.BILINEAR).resize(size, Image.BILINEAR)


def is_tall(source, target):
    """Of which Pillow 13 resizes the columns first."""
    return source[1] - target[1] > 2 * max(source[0] - target[0], 0)


# --- logits ---


def write_pictures(folder, images):
    """Folders of one class each, with a JPEG and a PNG of any size, or the user's photographs."""
    folder.mkdir()
    sources = sorted(path for path in images.rglob("*") if path.suffix.lower() in
                     (".jpg", ".jpeg", ".png"))[:4] if images else []
    for i, size in enumerate([(500, 333), (97, 131), (224, 224), (300, 61)]):
        label = folder / f"class{i}"
        label.mkdir()
        if sources:
            path = sources[i % len(sources)]
            (label / f"picture{path.suffix.lower()}").write_bytes(path.read_bytes())
        elif i % 2:
            noise(*size).save(label / "picture.png")
        else:
            noise(*size).save(label / "picture.jpg", quality=90, subsampling=2 if i else 0)
    return folder


def load_pictures(folder, size):
    """What a torchvision user writes, but for the order in which Pillow 13 resizes tall pictures."""
    import torch
    from torchvision import datasets, transforms

    data = datasets.ImageFolder(folder, transforms.Compose([
        transforms.Lambda(lambda image: rows_first(image, (size, size))
                          if is_tall(image.size, (size, size)) else image),
        transforms.Resize((size, size)), transforms.ToTensor(),
        transforms.Normalize(MEAN, DEVIATION)]))
    images, labels = zip(*(data[i] for i in range(len(data))))
    return torch.stack(images), torch.tensor(labels)


def random_network(arch, classes):
    """As initialised, with the statistics and parameters of batch norms as after a training."""
    import torch
    import torchvision

    torch.manual_seed(SEED)
    network = torchvision.models.get_model(arch, weights=None, num_classes=classes)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


def check_logits(report, arguments, folder):
    import torch

    pictures = write_pictures(folder / "pictures", arguments.images)
    classes = len(list(pictures.iterdir()))
    for arch in arguments.arch:
        network = random_network(arch, classes)
        weights, logits = folder / "weights.pth", folder / "logits.safetensors"
        torch.save(network.state_dict(), weights)
        for size in arguments.image_size:
            with torch.no_grad():
                theirs = network(load_pictures(pictures, size)[0])
            for convolution in arguments.convolution:
                run([arguments.bin / "concord-train", "--evaluate", "--data", pictures, "--split",
                     "train", "--weights", weights, "--arch", arch, "--image-size", size,
                     "--dump-logits", logits, "--convolution", convolution, "--device", "cpu",
                     "--threads", arguments.threads])
                ours = compare.read_safetensors(logits)["logits"]
                difference = ((ours - theirs).abs().max() / theirs.abs().max()).item()
                report.line(difference <= MOST_LOGIT_DIFFERENCE,
                            f"logits, {arch}, {size}x{size}, {convolution}", f"{difference:.1e}")
        weights.unlink()


# --- losses ---


def pytorch_losses(work, folder, precision):
    step, value = compare.pytorch_step(work, "eager", folder, "cpu", precision, STEPS)
    losses = []
    for _ in range(STEPS):
        step()
        losses.append(value())
    return losses


def steps_within(losses, others):
    """How many of the first steps' losses agree."""
    for step, (loss, other) in enumerate(zip(losses, others)):
        if not abs(loss - other) <= MOST_LOSS_DIFFERENCE * abs(other):
            return step
    return len(losses)


def report_losses(report, what, ours, theirs, exact):
    """Rounding errors grow from step to step: what PyTorch's float32 cannot show is no failure."""
    difference = compare.relative_difference(ours, theirs)
    itself = compare.relative_difference(theirs, exact)
    figure = (f"{difference:.1e} (to PyTorch's float64: PyTorch {itself:.1e}, Concord "
              f"{compare.relative_difference(ours, exact):.1e}); from {theirs[0]:.4f} to {theirs[-1]:.4f}")
    if difference <= MOST_LOSS_DIFFERENCE or itself <= MOST_LOSS_DIFFERENCE:
        return report.line(difference <= MOST_LOSS_DIFFERENCE, what, figure)
    figure += (f"; within {MOST_LOSS_DIFFERENCE:g} for {steps_within(ours, theirs)} steps, PyTorch's "
               f"float32 within it of its float64 for {steps_within(theirs, exact)}")
    # Less exact than PyTorch itself, or not: that can be told.
    if compare.relative_difference(ours, exact) > 10 * itself:
        return report.line(False, what, figure)
    return report.known(what, figure)


def check_losses(report, arguments, folder):
    for work in arguments.work:
        compare.prepare(work, folder, STEPS, LOSS_IMAGE_SIZE)
        theirs = pytorch_losses(work, folder, "fp32")
        exact = pytorch_losses(work, folder, "fp64")
        for convolution in arguments.convolution:
            options = argparse.Namespace(bin=arguments.bin, threads=arguments.threads, device="cpu",
                                         convolution=convolution, precision="fp32",
                                         cuda_graph=False, images=None)
            command = compare.Comparison(options, folder).concord_command(work)
            with compare.Server(command + ["--input-batches", str(STEPS)], "concord") as server:
                ours = server.run(STEPS)["values"]
            report_losses(report, f"losses of {STEPS} steps, {work}, {convolution}", ours, theirs,
                          exact)


def program_losses(network, images, labels):
    """Of concord-train --freeze-batch-norm: the network stays in evaluation mode."""
    import torch
    import torch.nn.functional as F

    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def check_program(report, arguments, folder):
    """One batch is an epoch, so that its losses are those of steps whatever the order of the images."""
    import torch

    pictures, size = folder / "train", 64
    pictures.mkdir()
    for i in range(16):
        label = pictures / f"class{i % 4}"
        label.mkdir(exist_ok=True)
        noise(80 + 3 * i, 120 - i, seed=i).save(label / f"{i:02}.{'png' if i % 2 else 'jpg'}")
    images, labels = load_pictures(pictures, size)
    arch = "resnet18"
    torch.save(random_network(arch, 4).state_dict(), folder / "initial.pth")
    theirs = program_losses(random_network(arch, 4), images, labels)
    exact = program_losses(random_network(arch, 4).double(), images.double(), labels)
    run([arguments.bin / "concord-train", "--data", pictures, "--arch", arch, "--weights",
         folder / "initial.pth", "--image-size", size, "--batch-size", 16, "--epochs", STEPS, "--lr",
         0.01, "--lr-schedule", "constant", "--freeze-batch-norm", "--device", "cpu", "--threads",
         arguments.threads, "--output-dir", folder / "run", "--quiet"])
    ours = [json.loads(line)["loss"] for line in
            (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    report_losses(report, f"losses of {STEPS} steps of concord-train, {arch}, batch norms frozen", ours,
                  theirs, exact)


CHECKS = {"pixels": check_pixels, "logits": check_logits, "losses": check_losses,
          "program": check_program}


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS),
                        help="of the checks (default: all)")
    parser.add_argument("--arch", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES,
                        metavar="ARCH", help="of logits (default: all)")
    parser.add_argument("--image-size", nargs="+", type=compare.positive, default=[224, 97, 160],
                        metavar="PIXELS", help="of logits (default: 224 97 160)")
    parser.add_argument("--convolution", nargs="+", choices=["direct", "winograd"],
                        default=["direct", "winograd"], help="algorithms (default: both)")
    parser.add_argument("--work", nargs="+", type=compare.known_work, default=STEP_WORK,
                        metavar="STEP[@BATCH]", help="of losses (default: " + " ".join(STEP_WORK) + ")")
    parser.add_argument("--images", type=pathlib.Path, help="folder of photographs for logits "
                        "(default: drawn ones)")
    parser.add_argument("--threads", type=compare.positive, default=len(os.sched_getaffinity(0)),
                        help="of both sides (default: one per core)")
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/bin"),
                        help="where the programs are (default: build/bin)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all lines there")
    return parser.parse_args()


def main():
    arguments = parse()
    import PIL
    import torch
    import torchvision

    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow "
          f"{PIL.__version__}", flush=True)
    report = Report()
    for check in arguments.only:
        with tempfile.TemporaryDirectory(prefix="concord-check-") as folder:
            try:
                CHECKS[check](report, arguments, pathlib.Path(folder))
            except (RuntimeError, OSError) as error:
                report.line(False, check, str(error))
    if arguments.json:
        arguments.json.write_text(json.dumps(report.lines, indent=2) + "\n")
    passed = sum(line["passed"] is True for line in report.lines)
    print(f"{passed} passed, {report.failures} failed, "
          f"{len(report.lines) - passed - report.failures} differ for a reason")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
