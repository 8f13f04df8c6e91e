#!/usr/bin/env python3
"""Builds docs/examples/greet_cpp as a project of its own, as its reader would, with CMake and with the
commands in docs/writing-modules.md, and checks the result. The Rust part is not rebuilt."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build_without_cmake(directory, bin):
    """Runs the commands in a copy of the example. Returns what failed, or None."""
    text = (ROOT / "docs/writing-modules.md").read_text()
    marked = r"<!-- run: docs/examples/build_downstream\.py -->\n```sh\n(.*?)```"
    commands = re.search(marked, text, re.DOTALL).group(1)
    copy = shutil.copytree(ROOT / "docs/examples/greet_cpp", directory / "copy")
    path = f"{bin / 'release'}:{os.environ['PATH']}"
    inspect = "chimaera module inspect ./libhello_greet_runtime.so"
    done = subprocess.run(
        ["sh", "-ec", f"{commands}\n{inspect}"],
        cwd=copy,
        env={**os.environ, "CHIMAERA": str(ROOT), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return None if done.returncode == 0 and "hello:greet 0.1.0" in done.stdout else done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cmake", required=True, help="the program cmake")
    parser.add_argument("--bin", type=Path, required=True, help="cargo's target directory")
    places = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chimaera-downstream-") as directory:
        build = Path(directory)
        configure = [
            *(places.cmake, "-S", ROOT / "docs/examples/greet_cpp", "-B", build),
            f"-DCHIMAERA_SOURCE_DIR={ROOT}",
            f"-DCHIMAERA_CARGO_TARGET_DIR={places.bin}",
            "-DCHIMAERA_BUILD_CARGO=OFF",
        ]
        for command in (configure, [places.cmake, "--build", build]):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                print(done.stdout, file=sys.stderr)
                return 1
        for made in ("modules/libhello_greet_runtime.so", "say_hello"):
            if not (build / made).is_file():
                print(f"the project was built, but without {made}", file=sys.stderr)
                return 1
        failed = build_without_cmake(build, places.bin)
        if failed is not None:
            print(failed, file=sys.stderr)
            return 1
    print("greet_cpp builds as a project of its own, with CMake and without")
    return 0


if __name__ == "__main__":
    sys.exit(main())
