#!/usr/bin/env python3
"""What `make demo` builds is a part of what `make build` builds, and not another build of it.

Cargo unites the features that a crate is asked for over all packages that it builds. The packages of the
demo must come to the same features as the whole workspace, or each of the two builds would make the
program, the client and the store again, over those of the other.
"""

import argparse
import subprocess
import sys


def features(cargo, source, selection):
    """The lines `crate version features` of all that a build of these packages compiles."""
    command = [cargo, "tree", "--edges", "normal,build", "--prefix", "none", "--no-dedupe"]
    command += ["--format", "{p} {f}", *selection]
    lines = subprocess.run(command, cwd=source, check=True, stdout=subprocess.PIPE, text=True).stdout
    return set(lines.splitlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cargo", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("packages", nargs="+", help="what cargo builds for the demo")
    arguments = parser.parse_args()

    whole = features(arguments.cargo, arguments.source, ["--workspace"])
    demo = features(arguments.cargo, arguments.source, arguments.packages)
    other = sorted(demo - whole)
    for line in other:
        print(f"built for the demo alone: {line}", file=sys.stderr)
    if len(demo) >= len(whole):
        print("the demo builds no less than everything", file=sys.stderr)
        return 1
    print(f"{len(demo)} of {len(whole)} crates are the demo's")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
