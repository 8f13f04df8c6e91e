#!/usr/bin/env python3
"""Installs the build, moves the prefix, and uses it as its users would: a repo of modules that finds the
package, its installation, a project that finds both, a repo that the installed program makes, builds and
installs, with a module in each language, and the installed program, which finds all modules by itself."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*command, **options):
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        **options)
    if done.returncode != 0:
        print(f"{' '.join(map(str, command))}\n{done.stdout}", file=sys.stderr)
        sys.exit(1)
    return done.stdout


def build(cmake, source, directory, generator, prefixes, *settings):
    run(cmake, "-S", source, "-B", directory, "-G", generator,
        f"-DCMAKE_PREFIX_PATH={';'.join(map(str, prefixes))}", "-DCMAKE_BUILD_TYPE=Release", *settings)
    output = run(cmake, "--build", directory)
    if "warning:" in output:
        sys.exit(f"warnings while {source} was built:\n{output}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cmake", required=True, help="the program cmake")
    parser.add_argument("--build", type=Path, required=True, help="the project's build directory")
    places = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chimaera-install-") as name:
        directory = Path(name)
        first, moved, hello = directory / "first", directory / "moved here", directory / "hello"
        run(places.cmake, "--install", places.build, "--prefix", first)
        for found in first.rglob("*"):
            if found.suffix in (".cmake", ".pc") and str(first) in found.read_text():
                sys.exit(f"{found} knows the prefix, so it cannot be moved")
        shutil.move(first, moved)

        greet = ROOT / "docs/examples/greet_cpp"
        build(places.cmake, greet, directory / "b1", "Unix Makefiles", [moved],
              "-DCMAKE_CXX_STANDARD=20", f"-DCMAKE_INSTALL_PREFIX={hello}")
        run(places.cmake, "--install", directory / "b1")
        build(places.cmake, ROOT / "tests/cmake/consumer", directory / "b2", "Ninja", [moved, hello])

        program = moved / "bin/chimaera"
        fresh = directory / "fresh"
        run(program, "repo", "new", fresh, "--namespace", "fresh")
        run(program, "module", "new", "in_cpp", "--lang", "cpp", "--repo", fresh)
        run(program, "module", "new", "in_rust", "--lang", "rust", "--repo", fresh, "--source", ROOT)
        run(program, "repo", "install", moved, fresh)

        runtime = directory / "run"
        runtime.mkdir(mode=0o700)
        environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(runtime),
            "CHI_INSTANCE": f"install-{os.getpid()}",
            "CHI_REPO_PATH": str(hello / "lib/chimaera/modules"),
        }
        environment.pop("LD_LIBRARY_PATH", None)
        run(program, "start", "--daemon", env=environment)
        try:
            modules = json.loads(run(program, "modules", "--json", env=environment))
            loaded = {module["name"] for module in modules["loaded"]}
            wanted = {
                *("chimaera:kv", "chimaera:empty", "example:mod_name", "example:empty"),
                *("hello:greet", "fresh:in_cpp", "fresh:in_rust"),
            }
            if loaded != wanted:
                sys.exit(f"the installed program loads {loaded}, not {wanted}")
            print(run(directory / "b2/consumer", env=environment), end="")
            print(run(directory / "b2/consumer_c", env=environment), end="")
        finally:
            run(program, "stop", env=environment)
    print("the installed package works where it was moved to")


if __name__ == "__main__":
    main()
