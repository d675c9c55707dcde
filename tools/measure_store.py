#!/usr/bin/env python3
"""What a feature store costs a training that reads it: against the compute alone, and from 1,000 to
100,000 images. Drives concord-bench; needs nothing but Python's standard library.

    python3 tools/measure_store.py pass --work WORK --rows 2000 --store-dtype fp32 bf16
    python3 tools/measure_store.py scale --work WORK

WORK is a new folder for stores, on the disk to be measured; it is removed at the end. Variants run
in turn, a stretch of steps each, in processes that keep their state, and only ratios of one run
mean anything on a machine that is not alone.

pass    one Trans-Net's training step on the next batch of a store on disk (cold: the system's cache
        of it is dropped before every stretch, so that every row comes from the disk, as from a
        store larger than memory; cold-unread: likewise with nothing read ahead), from the cache
        (warm), on the same batch again and again (compute), and the batches without a step (disk:
        what the disk gives to this order of rows). Of each stretch the steps that the batches ahead
        were read for during another's turn are left out.
scale   seconds a batch and resident memory of Trans-Net steps on stores, and of the image loader,
        of 1,000, 10,000 and 100,000 rows.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Step:
    """A concord-bench that runs steps on demand."""

    def __init__(self, bench, step, *options):
        command = [str(bench), "--step", step, "--interactive", "--quiet", *map(str, options)]
        begin = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "passive"})
        self.ready = self.answer()
        self.opened_seconds = time.monotonic() - begin

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args} ended with {self.process.wait()}")
        return json.loads(line)

    def run(self, count, leave_out=0):
        """Mean seconds of `count` steps, after `leave_out` that are not counted."""
        self.process.stdin.write(f"run {count + leave_out}\n")
        self.process.stdin.flush()
        return statistics.fmean(self.answer()["seconds"][leave_out:])

    def status(self, field):
        """A field of /proc/PID/status in bytes, such as VmRSS and RssFile."""
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        return 0

    def disk_bytes(self):
        """Read from the disk so far, those read ahead included."""
        for line in open(f"/proc/{self.process.pid}/io"):
            if line.startswith("read_bytes:"):
                return int(line.split()[1])
        return 0

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def forget(folder):
    """Drops what the system has cached of the files."""
    for path in pathlib.Path(folder).rglob("*.safetensors"):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def mib(number):
    return number / (1 << 20)


def measure_pass(options, work):
    channels, height, width = map(int, options.maps.split("x"))
    values = 2 * options.batch_size * channels * height * width
    common = ["--batch-size", options.batch_size]
    compute = Step(options.bench, "transnet:" + options.maps, *common)
    compute.run(2)
    result = []
    for dtype in options.store_dtype:
        stores = work / dtype
        stored = ["--stores", stores, "--rows", options.rows, "--store-dtype", dtype, *common]
        bytes_of_batch = values * (4 if dtype == "fp32" else 2)
        # Few, for what is read during the turns of others must be left out.
        ahead = 4
        limit = ["--read-ahead", ahead * mib(values * 4)]
        store = Step(options.bench, "transnet-store:" + options.maps, *stored, *limit)
        unread = Step(options.bench, "transnet-store:" + options.maps, *stored, "--read-ahead", 0)
        disk = Step(options.bench, "store-next:" + options.maps, *stored, *limit)
        for step in (store, unread):
            step.run(2)
        batches = options.rows // options.batch_size
        steps = min(options.steps, batches - ahead - 2)
        seconds = {name: [] for name in ("compute", *options.variants)}
        share_of_disk = []
        for _ in range(options.rounds):
            seconds["compute"].append(compute.run(steps))
            if "cold" in seconds:
                forget(stores)
                before = store.disk_bytes()
                seconds["cold"].append(store.run(steps, ahead + 1))
                share_of_disk.append((store.disk_bytes() - before)
                                     / ((steps + ahead + 1) * bytes_of_batch))
            if "cold-unread" in seconds:
                forget(stores)
                seconds["cold-unread"].append(unread.run(steps))
            if "disk" in seconds:
                forget(stores)
                seconds["disk"].append(disk.run(steps, ahead + 1))
            if "warm" in seconds:
                disk.run(batches)  # into the cache
                seconds["warm"].append(store.run(steps, ahead + 1))
        median = {name: statistics.median(times) for name, times in seconds.items()}
        ratio = {name: statistics.median(t / c for t, c in zip(times, seconds["compute"]))
                 for name, times in seconds.items()}
        report = {
            "maps": options.maps, "batch_size": options.batch_size, "store_dtype": dtype,
            "rows": options.rows, "store_mib": mib(values * options.rows / options.batch_size
                                                   * (4 if dtype == "fp32" else 2)),
            "steps": steps, "rounds": options.rounds,
            "seconds_a_step": median, "ratio_to_compute": ratio,
            "ratios": {name: [t / c for t, c in zip(times, seconds["compute"])]
                       for name, times in seconds.items()},
            "from_disk_of_what_is_needed": share_of_disk,
            "needed_mb_per_second": bytes_of_batch / median["compute"] / 1e6,
            "resident_mib": mib(store.status("VmRSS")),
            "resident_of_compute_mib": mib(compute.status("VmRSS")),
            "resident_of_files_mib": mib(store.status("RssFile")),
        }
        result.append(report)
        print(f"{options.maps}, batch {options.batch_size}, {dtype}, {options.rows} rows, "
              f"{report['store_mib']:.0f} MiB, {options.rounds} rounds of {steps} steps; machine's "
              f"memory {mib(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')):.0f} MiB")
        print(f"  compute      {median['compute'] * 1e3:8.1f} ms a step; to hide, "
              f"{report['needed_mb_per_second']:.0f} MB/s must come")
        for name in options.variants:
            print(f"  {name:11}  {median[name] * 1e3:8.1f} ms, "
                  f"{bytes_of_batch / median[name] / 1e6:6.0f} MB/s, {ratio[name]:5.2f} of compute ("
                  + " ".join(f"{value:.2f}" for value in report["ratios"][name]) + ")")
        if share_of_disk:
            print(f"  cold: {statistics.median(share_of_disk):.2f} of the rows' bytes were read from "
                  "the disk")
        print(f"  resident {report['resident_mib']:.0f} MiB (compute alone "
              f"{report['resident_of_compute_mib']:.0f}), of mapped files "
              f"{report['resident_of_files_mib']:.0f}; {ahead} batches ahead take "
              f"{ahead * mib(values * 4):.0f}", flush=True)
        for step in (store, unread, disk):
            step.close()
        shutil.rmtree(stores)
    compute.close()
    return result


def link_images(bench, folder, count):
    """A data set of `count` names of 40 small pictures."""
    drawn = folder.parent / "drawn"
    if not drawn.exists():
        subprocess.run([str(bench.parent / "concord-prepare"), "synthetic", "--output-dir",
                        str(drawn), "--train-per-class", "4", "--val-per-class", "1",
                        "--image-size", "64", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    pictures = sorted((drawn / "train").rglob("*.jpg"))
    for i in range(-len(pictures), count):
        picture = pictures[i % len(pictures)]
        split = "val" if i < 0 else "train"
        target = folder / split / picture.parent.name / f"{i:08}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(picture, target)


def measure_scale(options, work):
    result = []
    for kind in ("store", "loader"):
        steps = {}
        for count in options.counts:
            folder = work / f"{kind}-{count}"
            if kind == "store":
                steps[count] = Step(options.bench, "transnet-store:16x7x7", "--stores", folder,
                                    "--rows", count, "--batch-size", 32)
                steps[count].close()  # written; what opening costs is measured anew
                steps[count] = Step(options.bench, "transnet-store:16x7x7", "--stores", folder,
                                    "--rows", count, "--batch-size", 32)
            else:
                link_images(options.bench, folder, count)
                steps[count] = Step(options.bench, "load", "--images", folder, "--image-size", 56,
                                    "--batch-size", 32)
        seconds = {count: [] for count in options.counts}
        for step in steps.values():
            step.run(30)  # fills what is ahead
        for _ in range(options.rounds):
            for count, step in steps.items():
                seconds[count].append(step.run(options.steps, 20))
        print(f"{kind}: batches of 32, {options.rounds} rounds of {options.steps}")
        first = options.counts[0]
        for count, step in steps.items():
            ratios = [t / f for t, f in zip(seconds[count], seconds[first])]
            # All rows once more, so that what grows with what was seen shows.
            step.run(max(1, min(count, options.sweep) // 32))
            report = {
                "kind": kind, "rows": count,
                "microseconds_a_row": statistics.median(seconds[count]) / 32 * 1e6,
                "ratio_to_first": statistics.median(ratios),
                "open_seconds": step.opened_seconds,
                "resident_mib": mib(step.status("VmRSS")),
                "resident_of_files_mib": mib(step.status("RssFile")),
            }
            result.append(report)
            print(f"  {count:7} rows: {report['microseconds_a_row']:7.1f} us a row, "
                  f"{report['ratio_to_first']:.2f} of the first; opened in "
                  f"{report['open_seconds']:.2f} s; resident {report['resident_mib']:.0f} MiB, of "
                  f"mapped files {report['resident_of_files_mib']:.0f}", flush=True)
        for step in steps.values():
            step.close()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pass", "scale"])
    parser.add_argument("--work", type=pathlib.Path, required=True, help="new folder for stores")
    parser.add_argument("--bench", type=pathlib.Path, default=ROOT / "build/bin/concord-bench")
    parser.add_argument("--maps", default="128x28x28")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rows", type=int, default=2000, help="of each of the two stores")
    parser.add_argument("--store-dtype", nargs="+", default=["fp32", "bf16"],
                        choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--variants", nargs="*", default=["cold", "cold-unread", "disk", "warm"],
                        choices=["cold", "cold-unread", "disk", "warm"], help="beside compute")
    parser.add_argument("--steps", type=int, default=30, help="of a stretch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10000, 100000])
    parser.add_argument("--sweep", type=int, default=100000,
                        help="scale: rows read before memory is taken")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures")
    options = parser.parse_args()
    if options.work.exists():
        sys.exit(f"{options.work}: exists; name a new folder, it is removed at the end")
    options.work.mkdir(parents=True)
    try:
        measure = measure_pass if options.what == "pass" else measure_scale
        result = measure(options, options.work)
    finally:
        shutil.rmtree(options.work)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
