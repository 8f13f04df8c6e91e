#!/usr/bin/env python3
"""`make demo`, and a project that adds this one, build a part of what `make build` builds, not a
different build of it.

Cargo unifies the features of a crate over all packages that it builds. The packages of a part must
get the same features as in the whole workspace, or each of the two builds would rebuild the program
and the client over the other's.
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
    parser.add_argument("packages", nargs="+", help="the packages that cargo builds for the part")
    arguments = parser.parse_args()

    whole = features(arguments.cargo, arguments.source, ["--workspace"])
    part = features(arguments.cargo, arguments.source, arguments.packages)
    other = sorted(part - whole)
    for line in other:
        print(f"built for the part alone: {line}", file=sys.stderr)
    if len(part) >= len(whole):
        print("the part builds as much as the whole workspace", file=sys.stderr)
        return 1
    print(f"{len(part)} of {len(whole)} crates are built for the part")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
