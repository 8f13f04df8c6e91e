#!/usr/bin/env python3
"""The cost of an idle runtime: time from start to ready, CPU and memory with idle sessions.

Prints one JSON document. Usage: footprint.py PROGRAM MODULES_DIRECTORY
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

SESSIONS = 10
STARTS = 20
WATCH_S = 5.0


def run(program, *args):
    done = subprocess.run([program, "--json", *args], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def starts(program, modules):
    """Milliseconds from starting the program until the runtime is ready, as seen by its caller."""
    times = []
    for _ in range(STARTS):
        begin = time.monotonic()
        run(program, "start", "--daemon", "--modules", modules)
        times.append((time.monotonic() - begin) * 1e3)
        run(program, "stop")
    return times


def idle(program, modules):
    run(program, "start", "--daemon", "--modules", modules)
    clients = []
    try:
        for _ in range(SESSIONS):
            command = [program, "bench", "client", "chimaera:empty", "16", "0.2"]
            client = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            clients.append(client)
        for client in clients:
            client.stdout.readline()
        time.sleep(1.0)
        before = run(program, "status")
        used = cpu_seconds(before["pid"])
        time.sleep(WATCH_S)
        used = cpu_seconds(before["pid"]) - used
        connected = run(program, "status")
        for client in clients:
            client.communicate("\n")
        time.sleep(0.5)
        after = run(program, "status")
    finally:
        for client in clients:
            client.kill()
            client.wait()
        run(program, "stop")
    return {
        "sessions": connected["sessions"],
        "idle_cpu_percent_of_a_core": 100 * used / WATCH_S,
        "resident_mib_with_idle_sessions": connected["resident_bytes"] / 2**20,
        "resident_mib_after_work": after["resident_bytes"] / 2**20,
    }


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, modules = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_RUNTIME_DIR"] = directory
        os.environ["CHI_INSTANCE"] = "footprint"
        times = starts(program, modules)
        document = {
            "start_to_ready_ms": {
                "median": statistics.median(times),
                "worst": max(times),
                "starts": STARTS,
            },
            **idle(program, modules),
        }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
