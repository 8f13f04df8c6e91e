#!/usr/bin/env python3
"""Runs the listings of the README and the book as their readers would, with a daemon of their own."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TASKS = (
    "the last of a batch: CHI_OK\n"
    "one by one: 100\n"
    "on lease: 1048576 bytes\n"
    "a periodic task that was cancelled: CHI_CANCELLED\n"
    "a task with a deadline: CHI_OK\n"
)

# Program, arguments, and a pattern for its output.
EXAMPLES = [
    ("build/docs/examples/example_client_c", [], "The sky is blue.\n"),
    ("build/docs/examples/example_client_cpp", [], r"100000 bytes became \d+, and came back\.\n"),
    ("bin/example_client_rust", [], "The sea is green.\nThere are 100 waves.\n"),
    ("build/docs/examples/greet_cpp/say_hello", ["Ada"], "Hello, Ada!\n"),
    ("build/docs/examples/example_tasks_cpp", [], TASKS),
    ("bin/example_tasks_rust", [], TASKS),
    ("bin/example_shout", ["hello, Ada"], "HELLO, ADA\n"),
    ("build/docs/examples/example_described_cpp", [], "Hello, Ada!\n"),
    ("bin/example_described_rust", [], "HELLO, ADA\n"),
    ("build/docs/examples/example_containers_cpp", [], "Four containers have 100 keys.\n"),
    ("bin/example_containers_rust", [], "Four containers have 100 keys.\n"),
]
# These start a runtime themselves.
EMBEDDED = [
    ("build/docs/examples/example_embedded_c", [], "The snow is white.\n"),
    ("bin/example_embedded_rust", [], "The grass is green.\n"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, required=True, help="where cargo puts programs")
    parser.add_argument("--build", type=Path, required=True, help="CMake's build directory")
    places = parser.parse_args()
    failures = []

    def run(program, arguments, environment):
        first, _, rest = str(program).partition("/")
        path = {"bin": places.bin, "build": places.build}[first] / rest
        return subprocess.run(
            [path, *arguments], env=environment, capture_output=True, text=True, timeout=60
        )

    def expect(program, arguments, environment, pattern):
        done = run(program, arguments, environment)
        if done.returncode != 0 or not re.fullmatch(pattern, done.stdout):
            failures.append(program)
            print(f"{program} ended with {done.returncode}; it printed", file=sys.stderr)
            print(done.stdout + done.stderr, file=sys.stderr)
        else:
            print(f"{program}: {done.stdout.rstrip()}")

    modules = [places.build / "modules", places.build / "docs/examples/modules"]
    with tempfile.TemporaryDirectory(prefix="chimaera-docs-") as directory:
        environment = dict(
            os.environ,
            XDG_RUNTIME_DIR=directory,
            CHI_REPO_PATH=":".join(map(str, modules)),
        )
        environment.pop("CHI_INSTANCE", None)
        started = run("bin/chimaera", ["start", "--daemon"], environment)
        if started.returncode != 0:
            print(started.stdout + started.stderr, file=sys.stderr)
            return 1
        try:
            for program, arguments, pattern in EXAMPLES:
                expect(program, arguments, environment, pattern)
        finally:
            stopped = run("bin/chimaera", ["stop"], environment)
        if stopped.returncode != 0:
            print(stopped.stderr, file=sys.stderr)
            return 1
        for program, arguments, pattern in EMBEDDED:
            expect(program, arguments, environment, pattern)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
