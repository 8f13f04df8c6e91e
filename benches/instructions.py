#!/usr/bin/env python3
"""Counts the instructions of an empty task with callgrind: those of the client's calls, and those of
the runtime from the ring's entry to the completion. What either side spends on waiting is left out,
so the counts repeat, whatever else the machine does.

Prints one JSON document. Usage: instructions.py PROGRAM MODULES_DIRECTORY [MODULE]
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time

FEW, MANY = 1000, 11000
CLIENT_CALLS = ["table::new_task", "flight::enqueue", "table::del_task"]
RUNTIME_CALLS = ["Worker>::take_in"]


def callgrind(out, calls):
    command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={out}"]
    return command + [f"--toggle-collect=*{call}*" for call in calls]


def total(out):
    with open(out, encoding="utf-8") as file:
        found = re.search(r"^(?:summary|totals): (\d+)", file.read(), re.MULTILINE)
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


def measure(program, modules, module, tasks, watch_runtime):
    """Instructions of one side for a run of so many tasks."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "XDG_RUNTIME_DIR": directory, "CHI_INSTANCE": "instructions"}
        out = os.path.join(directory, "out")
        start = [program, "start", "--workers", "1", "--modules", modules, "--log-level", "error"]
        client = [program, "bench", "client", module, "1", "0", "--tasks", str(tasks)]
        if watch_runtime:
            start = callgrind(out, RUNTIME_CALLS) + start
        else:
            client = callgrind(out, CLIENT_CALLS) + client
        quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        daemon = subprocess.Popen(start, env=environment, **quiet)
        try:
            connected(environment, program)
            subprocess.run(client, env=environment, check=True, stdin=subprocess.DEVNULL, **quiet)
        finally:
            daemon.terminate()
            daemon.wait()
        return total(out)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    program, modules = sys.argv[1], sys.argv[2]
    module = sys.argv[3] if len(sys.argv) == 4 else "chimaera:empty"
    document = {"module": module}
    for side, watch_runtime in (("client", False), ("runtime", True)):
        few, many = (measure(program, modules, module, n, watch_runtime) for n in (FEW, MANY))
        document[f"{side}_instructions_per_task"] = (many - few) / (MANY - FEW)
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
