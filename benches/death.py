#!/usr/bin/env python3
"""How long a client takes to learn that the runtime was killed, and how often it is awake until then.

A client with one task in flight waits for it: parked in chi_wait, spinning on the task's completion
word, or polling with chi_is_complete or with chi_wait and a timeout of 0. The runtime is killed with
SIGKILL, and the time runs until the client has said so on a pipe. Beside it is the time until the
system says that the process is gone: on a busy machine, most of the time goes there. The target is a
median of less than 20 ms and a worst case of less than 100 ms, and for a parked client at most one
wake-up per second, of all its threads together.
"""

import argparse
import json
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import time

from timing import summary, tell

WAYS = {
    "parked": "parked",
    "spinning": "word",
    "polling_is_complete": "asking",
    "polling_wait": "polling",
}


def line(process):
    text = process.stdout.readline()
    if not text:
        raise SystemExit(f"{process.args} ended with {process.wait()}")
    return text


class Runtime:
    """A runtime in the foreground."""

    def __init__(self, program, modules):
        command = [program, "--json", "start", "--modules", modules]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL)
        document = line(self.process)
        while "}" not in document:
            document += line(self.process)
        self.pid = json.loads(document)["pid"]

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def end(self):
        """Returns when the process is gone."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Client:
    """A client that waits in one way."""

    def __init__(self, program, way):
        self.process = subprocess.Popen([program, "learn", way], stdout=subprocess.PIPE, text=True)
        if line(self.process) != "ready\n":
            raise SystemExit("the client could not submit its task")

    def learn(self):
        """Returns when it has learnt of the end."""
        said = line(self.process)
        if not said.startswith("CHI_UNAVAILABLE"):
            raise SystemExit(f"the client learnt something else: {said}")

    def switches(self):
        """How often its threads have gone to sleep."""
        count = 0
        for status in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/status"):
            for text in status.read_text(encoding="ascii").splitlines():
                if text.startswith("voluntary_ctxt_switches:"):
                    count += int(text.split()[1])
        return count

    def end(self):
        self.process.wait()
        self.process.stdout.close()


def times_to_learn(args, way):
    """Milliseconds from the kill until a client says that it knows, and until the runtime is gone."""
    runtime = Runtime(args.program, args.modules)
    client = Client(args.client, way)
    # It is parked, or in the middle of its polling.
    time.sleep(0.02)
    process = os.pidfd_open(runtime.pid)
    awaited, times = {client.process.stdout.fileno(): "learnt", process: "gone"}, {}
    poll = select.poll()
    for descriptor in awaited:
        poll.register(descriptor, select.POLLIN)
    begin = time.monotonic()
    runtime.kill()
    while len(times) < len(awaited):
        for descriptor, _ in poll.poll():
            times[awaited[descriptor]] = (time.monotonic() - begin) * 1e3
            poll.unregister(descriptor)
    os.close(process)
    client.learn()
    client.end()
    runtime.end()
    return times["learnt"], times["gone"]


def wakeups(args):
    """How often a parked client is awake per second."""
    runtime = Runtime(args.program, args.modules)
    client = Client(args.client, WAYS["parked"])
    time.sleep(1)
    before, begin = client.switches(), time.monotonic()
    time.sleep(args.watch)
    rate = (client.switches() - before) / (time.monotonic() - begin)
    runtime.kill()
    client.learn()
    client.end()
    runtime.end()
    return rate


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the program chimaera")
    parser.add_argument("modules", help="a directory with chimaera:kv")
    parser.add_argument("client", help="the program cpp_edges of the tests")
    parser.add_argument("--kills", type=int, default=100, help="for each way (default: 100)")
    parser.add_argument("--watch", type=float, default=10.0,
                        help="how many seconds wake-ups are counted (default: 10)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()

    times, gone = {name: [] for name in WAYS}, []
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_RUNTIME_DIR"] = directory
        os.environ["CHI_INSTANCE"] = "death"
        # Alternating, so that what else the machine does hits all alike.
        for _ in range(args.kills):
            for name, way in WAYS.items():
                learnt, went = times_to_learn(args, way)
                times[name].append(learnt)
                gone.append(went)
        rate = wakeups(args)
    document = {f"{name}_ms": summary(taken) for name, taken in times.items()}
    tell({**document, "runtime_gone_ms": summary(gone), "wakeups_per_second": rate}, args.json)


if __name__ == "__main__":
    main()
