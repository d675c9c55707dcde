#!/usr/bin/env python3
"""Runs the same steps in Concord and in PyTorch, in turn, and compares time, losses and memory.

Both get the same inputs and initial parameters (safetensors files), float32, the same number of
threads, no dropout. Every program is a process of its own that stays for all rounds, so that
nothing of its start is measured; a round runs one step of Concord, then one of PyTorch. PyTorch is
tried in every mode first, and the fastest is compared with.

Losses of the first three steps must agree: the exit code is 1 where they do not. The first, of the
same parameters, must do so within the tolerance. The later ones see updates, and an untrained deep
network with batch norms magnifies rounding errors so much that PyTorch's own modes may differ by
more than the tolerance among themselves. They must agree within it or within ten times that spread,
which is printed too (ten: the rounding error of a Winograd convolution is some seven times that of a
direct one), and never by more than a tenth.

Peak memory is the most that was resident during the steps (without the set-up, where the system
lets the peak be reset). Two figures are given: of the whole process, and its growth over what was
resident when the libraries were loaded and nothing was built yet, for importing PyTorch alone takes
some hundred MiB.

With --device cuda both run on the GPU, in float32 or, with --precision tf32, with TF32 in convolutions
and products, or, with bf16, with bfloat16 maps and float32 parameters (in PyTorch autocast); each step ends when the device is done, and peak memory is that of tensors on the device.

Needs torch and torchvision, which building and testing Concord never do, and build/bin.

    python3 tools/compare_pytorch.py --work transnet:512x28x28@8 --rounds 10
"""

import argparse
import io
import itertools
import json
import math
import mmap
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

DEFAULT_WORK = [
    "transnet:512x28x28@8", "transnet:512x28x28@32", "transnet:256x14x14@32",
    "train:vgg16_bn@8", "train:resnet18@16", "train:resnet50@16", "train:alexnet@16",
    "infer:vgg16_bn@8", "infer:resnet50@8", "decode",
]
TRAIN_MODES = ["eager", "channels_last", "compile", "compile+channels_last"]
INFER_MODES = TRAIN_MODES + ["compile+freezing", "compile+channels_last+freezing"]
DECODE_MODES = ["pillow", "torchvision"]
CLASSES = 200
IMAGE_SIZE = 224
SEED = 1

# --- safetensors: u64 header length, JSON header, data; float32 and int64 suffice here ---


def write_safetensors(path, tensors):
    import torch

    header, chunks, offset = {}, [], 0
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        data = tensor.numpy().tobytes()
        header[name] = {
            "dtype": {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for chunk in chunks:
            file.write(chunk)


def read_safetensors(path):
    import torch

    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    length = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        dtype = {"F32": torch.float32, "I64": torch.int64}[entry["dtype"]]
        begin, end = entry["data_offsets"]
        count = (end - begin) // dtype.itemsize
        whole = torch.frombuffer(data, dtype=dtype, count=count, offset=8 + length + begin)
        tensors[name] = whole.reshape(entry["shape"]).clone()
    return tensors


# --- the steps in PyTorch ---


def trans_net(channels, orders=3):
    """The Trans-Net of Liang et al., ICLR 2020, section 3: K convolutions and K-1 gated ReLUs."""
    import torch
    from torch import nn

    def scale(v):  # per sample and channel, a constant to the gradient
        if v.shape[2] * v.shape[3] == 1:
            return torch.ones_like(v)
        return torch.std(v.detach(), dim=(2, 3), keepdim=True) + 1e-5

    class TransNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.linearLayers_conv = nn.ModuleList(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(orders))
            self.nonLinearLayers_p_pre = nn.Parameter(torch.zeros(orders - 1))
            for convolution in self.linearLayers_conv:
                nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")

        def gates(self):
            return torch.sigmoid(self.nonLinearLayers_p_pre)

        def forward(self, x):
            x = x / scale(x)
            p = self.gates()
            h = self.linearLayers_conv[0](x)
            for i in range(1, orders):
                h = self.linearLayers_conv[i](x + p[i - 1] * torch.relu(h / scale(h)))
            return h

    return TransNet()


def split_work(work):
    """From "train:resnet18@16" to ("train", "resnet18", 16)."""
    step, _, batch = work.partition("@")
    kind, _, argument = step.partition(":")
    return kind, argument, int(batch or 8)


def build(kind, argument):
    if kind == "transnet":
        return trans_net(int(argument.split("x")[0]))
    import torch
    import torchvision

    model = torchvision.models.get_model(argument, weights=None, num_classes=CLASSES)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def prepare(work, folder, batches=1, image_size=IMAGE_SIZE):
    """Writes the initial parameters and the inputs, `batches` batches of them, that both sides read."""
    import torch

    kind, argument, batch = split_work(work)
    torch.manual_seed(SEED)
    write_safetensors(folder / "weights.safetensors", build(kind, argument).state_dict())
    batch *= batches
    if kind == "transnet":
        shape = [batch] + [int(size) for size in argument.split("x")]
        inputs = {"a": torch.randn(shape), "b": torch.randn(shape)}
    else:
        inputs = {
            "images": torch.randn(batch, 3, image_size, image_size),
            "labels": torch.randint(CLASSES, (batch,)),
        }
    write_safetensors(folder / "inputs.safetensors", inputs)


def fastest_optimizer(optimizer, parameters, **options):
    try:
        return optimizer(parameters, fused=True, **options)
    except (RuntimeError, TypeError):  # PyTorch before 2.4 fuses on CUDA only
        return optimizer(parameters, **options)


def pytorch_step(work, mode, folder, device, precision, batches=1):
    """The step as a pair of functions: run() does it, value() gives the number to compare.

    Training steps take the `batches` equal parts of the inputs in turn.
    The precision is one of --precision, or fp64 for what the others are rounded from."""
    import torch
    import torch.nn.functional as F

    dtype = torch.float64 if precision == "fp64" else torch.float32

    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True

    kind, argument, _ = split_work(work)
    modes = mode.split("+")
    model = build(kind, argument)
    model.load_state_dict(read_safetensors(folder / "weights.safetensors"))
    model = model.to(device, dtype)
    inputs = {name: tensor.to(device, dtype if tensor.is_floating_point() else None)
              for name, tensor in read_safetensors(folder / "inputs.safetensors").items()}
    if "channels_last" in modes:
        model = model.to(memory_format=torch.channels_last)
        inputs = {name: t.to(memory_format=torch.channels_last) if t.dim() == 4 else t
                  for name, t in inputs.items()}
    model.train(kind != "infer")
    if "freezing" in modes:
        import torch._inductor.config
        torch._inductor.config.freezing = True
    compiled = torch.compile(model) if "compile" in modes else model

    parts = itertools.cycle([dict(zip(inputs, part))
                             for part in zip(*(t.chunk(batches) for t in inputs.values()))])

    def forward(x):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            y = compiled(x)
        return y.to(dtype)

    last = {}

    if kind == "infer":
        def run():
            with torch.no_grad():
                last["logits"] = forward(inputs["images"])
        return run, lambda: last["logits"].abs().double().mean().item()

    if kind == "transnet":
        optimizer = fastest_optimizer(torch.optim.Adam, model.parameters(), lr=1e-4,
                                      weight_decay=1e-4)

        def loss_of(batch):
            error = F.mse_loss(forward(batch["a"]), batch["b"])
            return error + (0.1 * model.gates() ** 2).sum()
    else:
        optimizer = fastest_optimizer(torch.optim.SGD, model.parameters(), lr=0.01, momentum=0.9,
                                      weight_decay=1e-4)

        def loss_of(batch):
            return F.cross_entropy(forward(batch["images"]), batch["labels"])

    def run():
        loss = loss_of(next(parts))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        last["loss"] = loss.item()

    return run, lambda: last["loss"]


def decode_step(mode, images):
    files = [path.read_bytes() for path in sorted(images.rglob("*.jpg"))]
    pictures = []
    if mode == "pillow":
        from PIL import Image, ImageStat

        def one(data):
            with Image.open(io.BytesIO(data)) as picture:
                return picture.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.BILINEAR)

        def mean(picture):
            return sum(ImageStat.Stat(picture).mean) / 3
    else:
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg
        from torchvision.transforms.v2 import functional

        tensors = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files]
        files = tensors

        def one(data):
            picture = decode_jpeg(data, mode=ImageReadMode.RGB)
            return functional.resize(picture, [IMAGE_SIZE, IMAGE_SIZE], antialias=True)

        def mean(picture):
            return picture.double().mean().item()

    def run():
        pictures[:] = [one(data) for data in files]

    return run, lambda: sum(mean(picture) for picture in pictures) / len(pictures), len(files)


# --- a PyTorch process: the protocol of concord-bench --interactive ---


def status_bytes(field):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return 0


def reset_peak():
    try:
        with open("/proc/self/clear_refs", "w") as control:
            control.write("5")
        return True
    except OSError:
        return False


def serve(arguments):
    # Libraries may print; only answers go to the parent.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values):
        print(json.dumps(values), file=answers, flush=True)

    try:
        import torch
        import torchvision

        kind, _, batch = split_work(arguments.serve)
        torch.set_num_threads(arguments.threads)
        baseline = status_bytes("VmRSS")
        if kind == "decode":
            run, value, batch = decode_step(arguments.mode, arguments.images)
        else:
            run, value = pytorch_step(arguments.serve, arguments.mode, arguments.folder,
                                      arguments.device, arguments.precision)
        on_gpu = arguments.device == "cuda" and kind != "decode"
        reset = reset_peak()
        answer(ready=arguments.serve, images=batch, baseline_bytes=baseline,
               resident_bytes=status_bytes("VmRSS"), peak_is_of_steps=reset,
               version=f"torch {torch.__version__}, torchvision {torchvision.__version__}")
        for line in sys.stdin:
            word, _, count = line.strip().partition(" ")
            if word == "quit":
                return
            seconds, values = [], []
            for _ in range(int(count)):
                start = time.perf_counter()
                run()
                if on_gpu:
                    torch.cuda.synchronize()
                seconds.append(time.perf_counter() - start)
                values.append(value())
            answer(seconds=seconds, values=values, peak_bytes=status_bytes("VmHWM"),
                   device_peak_bytes=torch.cuda.max_memory_allocated() if on_gpu else 0)
    except Exception as error:  # the parent says which mode failed, and goes on
        answer(error=f"{type(error).__name__}: {error}".splitlines()[0][:300])
        raise


class Server:
    """One side of a comparison: a process that runs steps on request."""

    def __init__(self, command, name):
        self.name = name
        self.log = tempfile.TemporaryFile()
        # OpenMP threads that spin long at barriers lose much wherever anything else runs; Concord
        # shortens it by itself, and PyTorch gets the same.
        environment = {"GOMP_SPINCOUNT": "20000", **os.environ}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, env=environment)
        self.ready = self.read()

    def read(self):
        line = self.process.stdout.readline()
        answer = json.loads(line) if line.startswith("{") else {}
        if not answer or "error" in answer:
            self.log.seek(0)
            text = self.log.read().decode(errors="replace").strip().splitlines()
            raise RuntimeError(answer.get("error") or (text[-1] if text else "it ended"))
        return answer

    def run(self, count=1):
        self.process.stdin.write(f"run {count}\n")
        self.process.stdin.flush()
        return self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
        except OSError:
            pass  # it has ended already
        self.process.wait()


# --- the comparison ---


def note(text):
    print(text, file=sys.stderr, flush=True)


def run_child(command):
    """Runs it to its end; an error says the last line of what it said."""
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if run.returncode != 0:
        raise RuntimeError((run.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1])


def relative_difference(a, b):
    """The largest of |x - y| / |y|; infinite where one is not a number."""
    worst = 0.0
    for x, y in zip(a, b):
        if not (math.isfinite(x) and math.isfinite(y)):
            return math.inf
        worst = max(worst, abs(x - y) / max(abs(y), 1e-30))
    return worst


class Comparison:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = folder
        self.script = [sys.executable, os.path.abspath(__file__), "--folder", str(folder)]

    def concord(self, work):
        return Server(self.concord_command(work), "concord")

    def concord_command(self, work):
        kind, argument, batch = split_work(work)
        command = [str(self.arguments.bin / "concord-bench"), "--interactive", "--quiet",
                   "--step", f"{kind}:{argument}" if argument else kind]
        if kind == "decode":
            command += ["--images", str(self.images()), "--threads", "1"]
        else:
            command += ["--weights", str(self.folder / "weights.safetensors"),
                        "--inputs", str(self.folder / "inputs.safetensors"),
                        "--batch-size", str(batch), "--classes", str(CLASSES), "--no-dropout",
                        "--threads", str(self.arguments.threads),
                        "--convolution", self.arguments.convolution,
                        "--device", self.arguments.device,
                        "--precision", self.arguments.precision]
            if self.arguments.device == "cuda":  # as PyTorch's benchmark mode, and its default
                command += ["--cudnn-search", "measure", "--deterministic", "false"]
            if self.arguments.cuda_graph and kind != "infer":
                command.append("--cuda-graph")
        return command

    def pytorch(self, work, mode):
        decode = work == "decode"
        command = self.script + ["--serve", work, "--mode", mode, "--threads",
                                 "1" if decode else str(self.arguments.threads),
                                 "--device", self.arguments.device,
                                 "--precision", self.arguments.precision]
        if decode:
            command += ["--images", str(self.images())]
        return Server(command, mode)

    def images(self):
        """Photographs to decode: the user's, or drawn ones, encoded as cameras do (4:2:0)."""
        if self.arguments.images:
            return self.arguments.images
        folder = self.folder / "images"
        if not folder.exists():
            drawn = self.folder / "drawn"
            run_child([str(self.arguments.bin / "concord-prepare"), "synthetic", "--output-dir",
                       str(drawn), "--image-size", "500", "--train-per-class", "3",
                       "--val-per-class", "1"])
            run_child(self.script + ["--encode", str(drawn)])
        return folder

    def modes(self, work):
        wanted = self.arguments.modes
        return [mode for mode in known_modes(work) if not wanted or mode in wanted] or \
            known_modes(work)

    def try_modes(self, work):
        """Every mode by itself: best times in seconds, first values, why those failed that did."""
        times, values, failures = {}, {}, {}
        wanted = self.modes(work)
        # The first two of each kind give the spread even where they are not to be timed.
        for mode in dict.fromkeys(wanted + known_modes(work)[:2]):
            try:
                with self.pytorch(work, mode) as server:
                    values[mode] = server.run(3)["values"]
                    if mode not in wanted:
                        continue
                    times[mode] = min(server.run(self.arguments.trial)["seconds"])
                    note(f"{work}: PyTorch {mode}  {1e3 * times[mode]:.1f} ms")
            except (RuntimeError, OSError) as error:
                failures[mode] = str(error)
                note(f"{work}: PyTorch {mode} failed: {error}")
        if not times:
            raise RuntimeError(f"{work}: PyTorch failed in every mode: {failures}")
        return times, values, failures

    def compare(self, work):
        if work != "decode":
            run_child(self.script + ["--prepare", work])
        times, trial_values, failures = self.try_modes(work)
        mode = min(times, key=times.get)
        with self.concord(work) as ours, self.pytorch(work, mode) as theirs:
            sides = (ours, theirs)
            # The first steps, from the same parameters, are the ones whose losses must agree. They
            # are not measured: plans and compilations belong to them.
            values = [side.run(3)["values"] for side in sides]
            seconds = [[], []]
            answers = [None, None]
            for _ in range(self.arguments.rounds):
                for i, side in enumerate(sides):
                    answers[i] = side.run()
                    seconds[i] += answers[i]["seconds"]
            images = ours.ready["images"]
            result = {
                "work": work,
                "threads": 1 if work == "decode" else self.arguments.threads,
                "images": images,
                "mode": mode,
                "trial_seconds": times,
                "failed_modes": failures,
                "pytorch": theirs.ready["version"],
                "first_difference": relative_difference(values[0][:1], values[1][:1]),
                "loss_difference": relative_difference(*values),
                "pytorch_spread": max((relative_difference(other, values[1])
                                       for other in trial_values.values()
                                       if all(map(math.isfinite, other))), default=0.0),
                "peak_is_of_steps": all(side.ready["peak_is_of_steps"] for side in sides),
            }
            for i, name in enumerate(("concord", "torch")):
                on_gpu = self.arguments.device == "cuda" and work != "decode"
                peak = answers[i]["device_peak_bytes" if on_gpu else "peak_bytes"]
                result[name] = {
                    "median_seconds": statistics.median(seconds[i]),
                    "seconds": seconds[i],
                    "first_values": values[i],
                    "peak_bytes": peak,
                    "growth_bytes": peak if on_gpu else
                    peak - sides[i].ready["baseline_bytes"],
                }
        result["speed_ratio"] = (result["torch"]["median_seconds"] /
                                 result["concord"]["median_seconds"])
        for what in ("peak", "growth"):
            result[what + "_ratio"] = (result["concord"][what + "_bytes"] /
                                       max(1, result["torch"][what + "_bytes"]))
        return result


# However far PyTorch's modes lie apart, a loss that differs by more than this is another one.
MOST_DIFFERENCE = 0.1


def disagreement(result, tolerance):
    """What is wrong with the losses; an empty text where they agree."""
    later = min(MOST_DIFFERENCE, max(tolerance, 10 * result["pytorch_spread"]))
    if result["first_difference"] <= tolerance and result["loss_difference"] <= later:
        return ""
    return (f"{result['work']}: the losses differ by {result['first_difference']:.1e} at first (at "
            f"most {tolerance:g}) and by {result['loss_difference']:.1e} later (at most {later:.1e}):"
            f" Concord {result['concord']['first_values']}, PyTorch "
            f"{result['torch']['first_values']}")


def table(results):
    rows = [["work", "PyTorch mode", "Concord ms", "PyTorch ms", "speed", "difference", "spread",
             "peak MiB", "PyTorch's", "ratio", "growth MiB", "PyTorch's", "ratio"]]
    for r in results:
        row = [r["work"], r["mode"]]
        row += [f"{1e3 * r[side]['median_seconds']:.1f}" for side in ("concord", "torch")]
        row += [f"{r['speed_ratio']:.2f} x", f"{r['loss_difference']:.1e}",
                f"{r['pytorch_spread']:.1e}"]
        for what in ("peak", "growth"):
            row += [f"{r[side][what + '_bytes'] / 2**20:.0f}" for side in ("concord", "torch")]
            row += [f"{r[what + '_ratio']:.2f}"]
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths)))
                     for row in rows)


def encode(drawn, folder):
    from PIL import Image

    folder.mkdir()
    for number, path in enumerate(sorted(drawn.rglob("*.jpg"))):
        with Image.open(path) as picture:
            picture.save(folder / f"{number:03}.jpg", quality=90, subsampling="4:2:0")


def known_modes(work):
    kind = split_work(work)[0]
    return {"decode": DECODE_MODES, "infer": INFER_MODES}.get(kind, TRAIN_MODES)


def known_work(text):
    kind, argument, _ = split_work(text)
    if kind not in ("train", "infer", "transnet", "decode") or (kind == "decode") == bool(argument):
        raise argparse.ArgumentTypeError(
            f"{text}: train:ARCH[@BATCH], infer:ARCH[@BATCH], transnet:CxHxW[@BATCH] or decode")
    return text


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="+", type=known_work, default=DEFAULT_WORK,
                        metavar="STEP[@BATCH]",
                        help="train:ARCH, infer:ARCH, transnet:CxHxW or decode, batch 8 where none "
                        "is given (default: " + " ".join(DEFAULT_WORK) + ")")
    parser.add_argument("--rounds", type=positive, default=10, help="measured steps of each side "
                        "(default: 10)")
    parser.add_argument("--trial", type=positive, default=3, help="steps to find PyTorch's fastest "
                        "mode (default: 3)")
    parser.add_argument("--threads", type=positive, default=len(os.sched_getaffinity(0)),
                        help="of both sides (default: one per core); decoding uses one")
    parser.add_argument("--modes", nargs="+", choices=INFER_MODES + DECODE_MODES,
                        help="of PyTorch to try (default: all that apply)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu",
                        help="of both sides (default: cpu); decoding is on the CPU")
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32",
                        help="on cuda (default: fp32); the others need a larger --tolerance")
    parser.add_argument("--cuda-graph", action="store_true",
                        help="Concord's training steps as CUDA graphs; PyTorch's modes stay as they are")
    parser.add_argument("--convolution", choices=["auto", "direct", "winograd"], default="auto",
                        help="Concord's algorithm (default: auto)")
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/bin"),
                        help="where concord-bench is (default: build/bin)")
    parser.add_argument("--images", type=pathlib.Path,
                        help="folder of .jpg files to decode (default: 40 drawn ones)")
    parser.add_argument("--tolerance", type=float, default=1e-3,
                        help="largest relative difference of losses (default: 1e-3), see above")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all figures there")
    for hidden in ("--serve", "--prepare", "--mode"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    for hidden in ("--folder", "--encode"):
        parser.add_argument(hidden, type=pathlib.Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    arguments = parse()
    if arguments.serve:
        return serve(arguments)
    if arguments.prepare:
        return prepare(arguments.prepare, arguments.folder)
    if arguments.encode:
        return encode(arguments.encode, arguments.folder / "images")
    if subprocess.run([sys.executable, "-c", "import torch, torchvision"],
                      stderr=subprocess.DEVNULL).returncode != 0:
        sys.exit(f"error: {sys.executable} cannot import torch and torchvision; install them, or "
                 "run this with a Python that has them")
    if not (arguments.bin / "concord-bench").exists():
        sys.exit(f"error: {arguments.bin}/concord-bench does not exist; build Concord (with "
                 "libbenchmark-dev installed), or name its folder by --bin")
    results, bad = [], []
    for work in arguments.work:
        with tempfile.TemporaryDirectory(prefix="concord-compare-") as folder:
            try:
                results.append(Comparison(arguments, pathlib.Path(folder)).compare(work))
            except (RuntimeError, OSError) as error:
                bad.append(f"{work}: {error}")
                note(f"error: {bad[-1]}")
                continue
        error = disagreement(results[-1], arguments.tolerance)
        if error:
            bad.append(error)
            note(f"error: {error}")
    if results:
        print("Medians of a step; speed: how many times as fast Concord is; difference: the largest "
              "relative one\nof the first three losses; spread: the same among PyTorch's modes; "
              "peak and growth of memory: see\n--help; their ratios: Concord's to PyTorch's.\n")
        print(table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps({"results": results, "errors": bad}, indent=2) + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
