#!/usr/bin/env python3
"""`make demo` builds a part of what `make build` builds, not a different build of it.

Cargo unifies the features of a crate over all packages that it builds. The packages of the demo
must get the same features as in the whole workspace, or each of the two builds would rebuild the
program, the client and the store over the other's.
"""

import argparse
import subprocess
import sys


def features(cargo, source, selection):
    """The lines `crate version features` for everything that a build of these packages compiles."""
    command = [cargo, "tree", "--edges", "normal,build", "--prefix", "none", "--no-dedupe"]
    command += ["--format", "{p} {f}", *selection]
    lines = subprocess.run(command, cwd=source, check=True, stdout=subprocess.PIPE, text=True).stdout
    return set(lines.splitlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cargo", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("packages", nargs="+", help="the packages that cargo builds for the demo")
    arguments = parser.parse_args()

    whole = features(arguments.cargo, arguments.source, ["--workspace"])
    demo = features(arguments.cargo, arguments.source, arguments.packages)
    other = sorted(demo - whole)
    for line in other:
        print(f"built for the demo alone: {line}", file=sys.stderr)
    if len(demo) >= len(whole):
        print("the demo builds as much as the whole workspace", file=sys.stderr)
        return 1
    print(f"{len(demo)} of {len(whole)} crates are built for the demo")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
