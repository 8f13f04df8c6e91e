#!/usr/bin/env python3
"""How long clients wait when a module with state is upgraded.

A pool of test:life, half of whose state is a map with entries of 1000 bytes and half of which is one vector,
goes from one version of its module to another and back, while clients in processes of their own keep
tasks in flight that add to an entry: 64 each, or 1 each. For each client and upgrade, the pause is the longest
time between the submission and the end of a task around that upgrade. Beside it is the longest such time
while as much time passes without an upgrade, which is the machine's share, and how long the command took.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from timing import milliseconds, summary, tell

MODULE = "test:life"
POOL = "life"
ENTRY = 1000


class Runtime:
    """A runtime with a pool that has a state of some bytes."""

    def __init__(self, args, size):
        self.args = args
        modules = os.path.join(args.fixtures, "life")
        command = [args.program, "--json", "start", "--modules", modules]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL)
        document = ""
        while "}" not in document:
            line = self.process.stdout.readline()
            if not line:
                sys.exit(f"the runtime ended with {self.process.wait()}")
            document += line
        self.run("pool", "create", POOL, "--module", MODULE)
        entries, rest = size // 2 // ENTRY, size - size // 2
        milliseconds([args.client, "fill", POOL, str(entries), str(rest)])

    def run(self, *command):
        """Runs a command of the program. Returns how long it took."""
        return milliseconds([self.args.program, *command])

    def upgrade(self, turn):
        """Goes to the other version. Returns how long it took."""
        name = ("life_2", "life")[turn % 2]
        file = os.path.join(self.args.fixtures, name, f"lib{name}.so")
        return self.run("module", "upgrade", MODULE, file, "--timeout", "120")

    def end(self):
        self.run("stop")
        self.process.wait()
        self.process.stdout.close()


class Client:
    """A client that keeps tasks in flight."""

    def __init__(self, args, number, depth):
        command = [args.client, "keep", POOL, str(number), str(depth), "add"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.line()

    def line(self):
        text = self.process.stdout.readline()
        if not text:
            sys.exit(f"a client ended with {self.process.wait()}")
        return text

    def ask(self):
        self.process.stdin.write("worst\n")
        self.process.stdin.flush()

    def end(self):
        """Fails unless each task has succeeded, once."""
        self.process.stdin.close()
        said = json.loads(self.line())
        if self.process.wait() != 0 or said["sent"] != said["ok"]:
            sys.exit(f"a client has lost tasks: {said}")
        self.process.stdout.close()


def pauses(clients):
    """The longest time in milliseconds that a task of each client has taken since the last call."""
    for client in clients:
        client.ask()
    return [int(client.line()) / 1e6 for client in clients]


def measure(args, size, depth):
    """What clients have seen of upgrades of a state of some bytes, each with some tasks in flight."""
    runtime = Runtime(args, size)
    clients = [Client(args, number, depth) for number in range(args.clients)]
    seen, unseen, commands = [], [], []
    for turn in range(args.upgrades):
        pauses(clients)
        commands.append(runtime.upgrade(turn))
        seen += pauses(clients)
        time.sleep(commands[-1] / 1e3)
        unseen += pauses(clients)
    for client in clients:
        client.end()
    runtime.end()
    return {"pause": summary(seen), "without": summary(unseen), "command": summary(commands)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the program chimaera")
    parser.add_argument("fixtures", help="the directory of the test modules (build/fixtures)")
    parser.add_argument("client", help="the program chi-test-load of the tests")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 1000], metavar="MB",
                        help="of the state, in 10^6 bytes (default: 1 1000)")
    parser.add_argument("--upgrades", type=int, default=25, help="of each size (default: 25)")
    parser.add_argument("--clients", type=int, default=4, help="how many (default: 4)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()

    document = {}
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_RUNTIME_DIR"] = directory
        os.environ["CHI_INSTANCE"] = "upgrade"
        for size in args.sizes:
            for load, depth in ("under_load", 64), ("one_task", 1):
                found = measure(args, size * 10**6, depth)
                for what, times in found.items():
                    document[f"{size}mb_{load}_{what}_ms"] = times
    tell(document, args.json)


if __name__ == "__main__":
    main()
