#!/usr/bin/env python3
"""Builds docs/examples/greet_cpp as a project of its own, the way its reader would, and looks at what
comes out. The Rust part is taken as it is."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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
    print("greet_cpp builds as a project of its own")
    return 0


if __name__ == "__main__":
    sys.exit(main())
