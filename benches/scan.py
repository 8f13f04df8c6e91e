#!/usr/bin/env python3
"""How much time finding 50 modules among 1,000 shared libraries adds to a runtime's start.

The target is less than 200 ms. The other files are this machine's own libraries, each linked once,
and copies of them if there are too few. The modules are copies of the module example:empty, each
with its own name.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

from timing import milliseconds, summary, tell

MODULE = "libexample_empty_runtime.so"
NAME = b"example:empty\0"
TARGET_MS = 200
# Libraries above this size are linked, not copied.
LARGE = 1 << 20


def libraries():
    """The shared libraries of this machine, without duplicates."""
    seen = set()
    for directory in ["/usr/lib", "/usr/lib64", "/lib", "/usr/local/lib"]:
        for path in sorted(pathlib.Path(directory).rglob("*.so*")):
            if path.is_symlink() or not path.is_file():
                continue
            found = path.stat()
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                yield path


def fill(directory, module, modules, others):
    """Fills a directory with modules and other libraries."""
    text = module.read_bytes()
    if NAME not in text:
        sys.exit(f"cannot change the name of the copies: it was not found in {module}")
    for number in range(modules):
        renamed = text.replace(NAME, b"example:m%04d\0" % number)
        (directory / f"libmodule{number:04}.so").write_bytes(renamed)
    found = list(libraries())
    for number, library in enumerate(found[:others]):
        (directory / f"libother{number:04}.so").symlink_to(library)
    small = [library for library in found if library.stat().st_size < LARGE]
    if not small:
        sys.exit("no shared libraries were found on this machine")
    for number in range(len(found), others):
        shutil.copyfile(small[number % len(small)], directory / f"libother{number:04}.so")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path, help="the program chimaera")
    parser.add_argument("modules", type=pathlib.Path, help=f"the directory with {MODULE}")
    parser.add_argument("--runs", type=int, default=15, help="number of runs (default: 15)")
    parser.add_argument("--files", type=int, default=1000, help="number of files (default: 1000)")
    parser.add_argument("--among", type=int, default=50, metavar="N",
                        help="number of modules among them (default: 50)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    program = str(args.program.resolve())

    with tempfile.TemporaryDirectory() as home:
        environment = dict(os.environ, XDG_RUNTIME_DIR=home, CHI_INSTANCE="scan")
        for inherited in ["CHI_REPO_PATH", "LD_LIBRARY_PATH"]:
            environment.pop(inherited, None)
        full, none = pathlib.Path(home) / "full", pathlib.Path(home) / "none"
        full.mkdir()
        none.mkdir()
        fill(full, args.modules / MODULE, args.among, args.files - args.among)

        times = {full: [], none: []}
        for _ in range(args.runs):
            for directory, taken in times.items():
                start = [program, "start", "--daemon", "--modules", str(directory)]
                taken.append(milliseconds(start, env=environment))
                told = subprocess.run([program, "--json", "modules"], env=environment, check=True,
                                      capture_output=True, text=True).stdout
                milliseconds([program, "stop"], env=environment)
                loaded = len(json.loads(told)["loaded"])
                if loaded != (args.among if directory == full else 0):
                    sys.exit(f"{loaded} modules were loaded from {directory}")
    adds = statistics.median(times[full]) - statistics.median(times[none])
    tell({
        "files": args.files,
        "modules_among_them": args.among,
        "start_ms": summary(times[full]),
        "start_without_files_ms": summary(times[none]),
        "scan_adds_ms": adds,
        "target_ms": TARGET_MS,
        "met": adds < TARGET_MS,
    }, args.json)


if __name__ == "__main__":
    main()
