#!/usr/bin/env python3
"""The block device chimaera:bdev compared with fio: the same file, block size, depth, engine and
order.

The target is 90 % of fio's throughput at 4 KiB and depth 16, and at 1 MiB. `chimaera bench bdev`
and fio alternate on one file, which is fully written first. Both have one submitting thread: fio's
own, and the runtime's single worker, to which another process sends the tasks. fio submits and
reaps with its default settings. In the cases "through the cache" the file is in the page cache from
the start. The ratio of a case is the median over its rounds, each of which compares two adjacent
measurements.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

TARGET = 0.9
KIB, MIB = 1 << 10, 1 << 20


def fail(command, done):
    sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}{done.stdout}")


def output(command):
    """Runs a command, which must succeed, and parses the JSON that it prints."""
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        fail(command, done)
    # fio may print something first.
    return json.loads(done.stdout[done.stdout.index("{"):])


def device(args, case):
    """Measures the block device, in MiB/s."""
    # What fio has left of a device is none, and no ruin of one either.
    with open(args.file, "r+b") as file:
        file.write(b"\7" * 8 * KIB)
    command = [args.program, "bench", "bdev", "--json", "--modules", args.modules,
               "--path", args.file, "--engine", args.engine, "--operation", case["operation"],
               "--block-size", f"{case['block_size']}B", "--depth", str(case["depth"]),
               "--rounds", "1", "--seconds", str(args.seconds)]
    command += ["--direct"] * case["direct"] + ["--random"] * case["random"]
    return output(command)[case["operation"]]["mib_per_s"]


def fio(args, case):
    """Measures fio, in MiB/s."""
    order = ("rand" if case["random"] else "") + case["operation"]
    options = {
        "name": "beside", "filename": args.file, "size": f"{args.size}m",
        "rw": order, "bs": case["block_size"], "iodepth": case["depth"],
        "ioengine": "io_uring" if args.engine == "uring" else "psync",
        "direct": int(case["direct"]), "time_based": 1, "runtime": f"{round(args.seconds * 1000)}ms",
        # One thread; blocks may repeat, as with the device; the file is used as it is.
        "numjobs": 1, "thread": 1, "norandommap": 1, "invalidate": 0, "overwrite": 1,
        "output-format": "json",
    }
    if args.engine == "posix":
        # One request at a time on each of as many threads as the device has.
        options |= {"iodepth": 1, "numjobs": 8, "group_reporting": 1}
    command = ["fio"] + [f"--{name}={value}" for name, value in options.items()]
    return output(command)["jobs"][0][case["operation"]]["bw_bytes"] / MIB


def cases(args):
    """The cases to measure."""
    for block_size in [4 * KIB, MIB]:
        for operation in ["read", "write"]:
            for direct in [False, True]:
                yield {"block_size": block_size, "depth": args.depth, "operation": operation,
                       "direct": direct, "random": args.random}


def measure(args, case):
    """Measures a case."""
    found = {"device_mib_per_s": [], "fio_mib_per_s": []}
    for _ in range(args.rounds):
        found["device_mib_per_s"].append(device(args, case))
        found["fio_mib_per_s"].append(fio(args, case))
    ratios = [ours / theirs for ours, theirs in zip(*found.values())]
    medians = {name: statistics.median(values) for name, values in found.items()}
    ratio = statistics.median(ratios)
    return case | medians | {"per_fio": ratio, "lowest_per_fio": min(ratios),
                             "highest_per_fio": max(ratios), "met": ratio >= TARGET}


def tell(case):
    """Prints a line for a case."""
    size = case["block_size"]
    what = f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"
    order = "random " if case["random"] else ""
    cache = "past the cache" if case["direct"] else "through the cache"
    print(f"{what}, depth {case['depth']}, {order}{case['operation']}, {cache}".ljust(46)
          + f"{case['device_mib_per_s']:9.0f} MiB/s, fio {case['fio_mib_per_s']:7.0f} MiB/s:"
          + f" {case['per_fio']:5.2f} ({case['lowest_per_fio']:.2f} to {case['highest_per_fio']:.2f})"
          + ("" if case["met"] else f"  below {TARGET}"), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the program chimaera")
    parser.add_argument("modules", help="the directory with the module chimaera:bdev")
    parser.add_argument("--directory", type=pathlib.Path,
                        help="where to create the file (default: a temporary directory)")
    parser.add_argument("--size", type=int, default=256, metavar="MIB", help="default: 256")
    parser.add_argument("--depth", type=int, default=16, help="default: 16")
    parser.add_argument("--engine", choices=["uring", "posix"], default="uring")
    parser.add_argument("--random", action="store_true", help="access blocks in random order")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=float, default=1.0,
                        help="seconds of each measurement (default: 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    if not shutil.which("fio"):
        sys.exit("fio is not installed: apt-get install fio")

    found = []
    with tempfile.NamedTemporaryFile(dir=args.directory, prefix="chimaera-bdev-") as file:
        for _ in range(args.size):
            file.write(b"\7" * MIB)
        file.flush()
        args.file = file.name
        for case in cases(args):
            found.append(measure(args, case))
            if not args.json:
                tell(found[-1])
    if args.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
