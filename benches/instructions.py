#!/usr/bin/env python3
"""Counts the instructions of an empty task with callgrind: those of the client's calls, and those
of the runtime from the ring entry to the completion. Time spent waiting on either side is left out,
so the counts are reproducible whatever else the machine does. Also counts those of a subtask, from
the call in a method until the method continues: everything the runtime does while one method calls
another.

Prints one JSON document, which --against takes.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

FEW, MANY = 1000, 11000
CLIENT_CALLS = ["table::new_task", "table::enqueue", "table::del_task"]
RUNTIME_CALLS = ["path::accept"]
MODULES = ["chimaera:empty", "example:empty"]


def callgrind(out, calls):
    """Wraps a command in callgrind, counting inside these functions, or everywhere if there are
    none."""
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    if not calls:
        return command
    return command + ["--collect-atstart=no"] + [f"--toggle-collect=*{call}*" for call in calls]


def total(out, calls):
    """Reads the counts. A function that was renamed and is not found would count as zero, so that
    is an error."""
    with open(out, encoding="utf-8") as file:
        text = file.read()
    for call in calls:
        if not re.search(rf"^c?fn=\(\d+\) .*{re.escape(call)}", text, re.MULTILINE):
            sys.exit(f"no function matches '*{call}*': was it renamed, or inlined?")
    found = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
    return int(found.group(1))


def connected(environment, program):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = subprocess.run(
            [program, "--json", "status"], env=environment, capture_output=True, text=True)
        if status.returncode == 0 and json.loads(status.stdout)["ready"]:
            return
        time.sleep(0.1)
    sys.exit("the runtime did not start")


def measure(options, module, side, tasks):
    """Counts the instructions of one side for a run of `tasks` tasks."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "XDG_RUNTIME_DIR": directory, "CHI_INSTANCE": "instructions"}
        out = os.path.join(directory, "out")
        program = options.program
        calls = {"client": CLIENT_CALLS, "runtime": RUNTIME_CALLS}.get(side, [])
        start = [program, "start", "--no-config", "--workers", "1", "--modules", options.modules,
                 "--log-level", "error"]
        client = [program, "bench", "client", module, "1", "1", "--tasks", str(tasks)]
        if side == "client":
            client = callgrind(out, calls) + client
        elif side == "runtime":
            start = callgrind(out, calls) + start
        else:
            start = callgrind(out, calls) + start + ["--spin-us", "0"]
            client = [program, "bench", "caller", module, str(tasks)]
        quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        daemon = subprocess.Popen(start, env=environment, **quiet)
        try:
            connected(environment, program)
            subprocess.run(client, env=environment, check=True, stdin=subprocess.DEVNULL, **quiet)
        finally:
            daemon.terminate()
            daemon.wait()
        return total(out, calls)


def per_task(options, module, side):
    few, many = (measure(options, module, side, n) for n in (FEW, MANY))
    return round((many - few) / (MANY - FEW), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="the program chimaera")
    parser.add_argument("modules", help="the directory of the modules")
    parser.add_argument("module", nargs="*", help="modules whose empty tasks to count (default: both)")
    parser.add_argument("--against", metavar="FILE", help="counts to compare with; prints the ratios")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("counting instructions needs valgrind")
    reference = {}
    if options.against:
        with open(options.against, encoding="utf-8") as file:
            reference = json.load(file)
    document = {}
    for module in options.module or MODULES:
        counts = {side: per_task(options, module, side) for side in ("client", "runtime", "subtask")}
        document[module] = dict(counts)
        known = {side: count for side, count in reference.get(module, {}).items() if side in counts}
        if known:
            ratios = {side: round(counts[side] / count, 3) for side, count in known.items()}
            task = [side for side in ("client", "runtime") if side in known]
            both = sum(counts[side] for side in task) / sum(known[side] for side in task)
            document[module]["per_reference"] = {**ratios, "task": round(both, 3)}
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
