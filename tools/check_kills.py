#!/usr/bin/env python3
"""Kills concord-reproduce at random moments and compares what it ends with.

    tools/check_kills.py plans/small.json --work FOLDER [--kills 10] [--seed 0]
        [--bin build/bin] [-- OPTIONS]

Runs the plan twice, in FOLDER/whole without a disturbance and in FOLDER/killed, where concord-reproduce
gets SIGKILL `--kills` times and is started again; each time it lives for a time drawn evenly between 1 s
and twice the kills' share of the whole, so that they spread over all of it. Prints what each kill hit, and
whether both results.json are the same bytes. OPTIONS go to concord-reproduce (--set data=FOLDER).
FOLDER/whole is not run again where it is done.

Exits with 1 where the results differ, or where a kill came too late to hit.
"""
import argparse
import json
import pathlib
import random
import signal
import subprocess
import sys
import time


def run(arguments, limit=None):
    """The seconds it took, or None where it was killed after `limit`, and what it said."""
    begun = time.monotonic()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        try:
            said, _ = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            said, _ = child.communicate()
            return None, said
    if child.returncode != 0:
        sys.exit(f"{' '.join(arguments)}\nexited with {child.returncode}:\n{said}")
    return time.monotonic() - begun, said


def done_steps(folder):
    return len(list((folder / "state").glob("*.json"))) if (folder / "state").is_dir() else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/bin"))
    parser.add_argument("options", nargs="*")
    options = parser.parse_args()
    program = [str(options.bin / "concord-reproduce"), options.plan, *options.options, "--output-dir"]
    whole, killed = options.work / "whole", options.work / "killed"
    if killed.exists():
        sys.exit(f"{killed}: is there already; name another --work or remove it")

    seconds, _ = run([*program, str(whole)])
    took = sum(step["seconds"] for step in json.loads((whole / "timings.json").read_text())["steps"].values())
    print(f"whole: {seconds:.0f} s now; its steps took {took:.0f} s", flush=True)

    draw = random.Random(options.seed)
    hits = 0
    for kill in range(options.kills):
        limit = draw.uniform(1, max(2, 2 * took / options.kills))
        ended, said = run([*program, str(killed)], limit)
        last = [line for line in said.splitlines() if line.strip()]
        print(f"kill {kill + 1} after {limit:.1f} s: {done_steps(killed)} steps done; "
              + ("the suite had ended" if ended is not None else f"the last line said: {last[-1] if last else '-'}"),
              flush=True)
        hits += ended is None
    seconds, _ = run([*program, str(killed)])
    print(f"to the end: {seconds:.0f} s")
    same = (whole / "results.json").read_bytes() == (killed / "results.json").read_bytes()
    print(f"{hits} of {options.kills} kills hit; results.json: {'the same bytes' if same else 'DIFFERS'}")
    sys.exit(0 if same and hits == options.kills else 1)


if __name__ == "__main__":
    main()
