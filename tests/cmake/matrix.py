#!/usr/bin/env python3
"""Builds, installs, moves and runs a repo of modules and programs that link it (tests/cmake/relay), in
configurations of which every two choices meet in at least one.

What a configuration lacks, a compiler or a version of CMake that PyPI does not give, leaves that
configuration out; the exit code is then 77."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

from tools import MODULES, ROOT, ask, build, daemon, link_tree, loaded, needed, parse_places, run

Configuration = namedtuple("Configuration", "compiler standard generator cmake client source libdir")

CHOICES = Configuration(
    compiler={"gcc": "g++", "clang": "clang++"},
    standard=("17", "20"),
    generator=("Unix Makefiles", "Ninja"),
    cmake={"oldest": "cmake==3.20.*", "newest": "cmake"},
    client=("shared", "static"),
    source=("installed", "subdirectory"),
    libdir=("lib", "lib64", "lib/x86_64-linux-gnu"),
)
CONFIGURATIONS = [
    Configuration(*row) for row in (
        ("clang", "17", "Ninja", "oldest", "shared", "subdirectory", "lib64"),
        ("gcc", "20", "Unix Makefiles", "newest", "static", "installed", "lib64"),
        ("gcc", "17", "Ninja", "newest", "static", "subdirectory", "lib"),
        ("clang", "20", "Unix Makefiles", "oldest", "shared", "installed", "lib"),
        ("clang", "20", "Ninja", "newest", "shared", "installed", "lib/x86_64-linux-gnu"),
        ("clang", "20", "Unix Makefiles", "oldest", "static", "subdirectory", "lib/x86_64-linux-gnu"),
        ("gcc", "17", "Unix Makefiles", "oldest", "shared", "installed", "lib/x86_64-linux-gnu"),
    )
]
SKIPPED = 77


def check_pairs():
    """Every two choices of different kinds occur together in some configuration."""
    for (one, ones), (other, others) in itertools.combinations(enumerate(CHOICES), 2):
        met = {(row[one], row[other]) for row in CONFIGURATIONS}
        if met != set(itertools.product(ones, others)):
            absent = set(itertools.product(ones, others)) - met
            sys.exit(f"no configuration has {sorted(absent)}")


def find_compiler(name):
    """The C and C++ compilers of this name, as settings; None if they are not installed."""
    found = shutil.which(name), shutil.which(CHOICES.compiler[name])
    if None in found:
        return None
    return f"CMAKE_C_COMPILER={found[0]}", f"CMAKE_CXX_COMPILER={found[1]}"


def find_cmake(name, cache):
    """A CMake from PyPI, kept in `cache`; None if it cannot be installed."""
    directory = cache / name
    program = directory / "cmake/data/bin/cmake"
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            pip = subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                 "--only-binary", ":all:", "--target", scratch, CHOICES.cmake[name]],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if pip.returncode != 0:
                print(pip.stdout)
                return None
            os.rename(scratch, directory)
            os.mkdir(scratch)
    return program


class Matrix:
    """The tools, and what all configurations share."""

    def __init__(self, places, directory):
        self.directory = directory
        self.cmake, self.build, self.target = places.cmake, places.build, places.target
        cache = places.build / "cmake-versions"
        cache.mkdir(exist_ok=True)
        self.compilers = {name: find_compiler(name) for name in CHOICES.compiler}
        self.cmakes = {name: find_cmake(name, cache) for name in CHOICES.cmake}
        self.hello, self.relay = directory / "hello", directory / "relay"
        shutil.copytree(ROOT / "tests/cmake/relay", self.relay)
        (self.relay / "polite/autogen").mkdir()
        run(places.target / "release/chimaera", "repo", "refresh", self.relay)

    def lacks(self, row):
        """The first tool that a configuration lacks on this machine."""
        if self.compilers[row.compiler] is None:
            return f"{row.compiler} is not installed"
        if self.cmakes[row.cmake] is None:
            return f"pip cannot install {CHOICES.cmake[row.cmake]}"
        return None

    def install_chimaera(self, libdir, name, generator, compiler):
        """Configures Chimaera itself with a CMake, and installs the result."""
        cmake = self.cmakes[name] or self.cmake
        directory = self.directory / f"chimaera-{name}"
        build(cmake, ROOT, directory, generator, *compiler,
              f"CHIMAERA_CARGO_TARGET_DIR={self.target}", f"CMAKE_INSTALL_LIBDIR={libdir}",
              "CHIMAERA_INSTALL_EXAMPLE=ON",
              targets=("chimaera_cargo", "example_mod_name_runtime", "example_mod_name_client",
                       "example_empty_runtime", "example_empty_client"))
        run(cmake, "--install", directory, "--prefix", self.prefix(libdir))
        ask(cmake, ";".join(map(str, self.prefixes(libdir))), directory)

    def prefix(self, libdir):
        return self.directory / "installed" / libdir.replace("/", "-")

    def prefixes(self, libdir, home=None):
        """The prefixes for find_package. CMake does not search lib64 on Debian."""
        home = home or self.prefix(libdir)
        return home, home / libdir / "cmake"

    def prepare(self):
        """Installs Chimaera once for each library directory, and the repo hello."""
        run(self.cmake, "--install", self.build, "--prefix", self.prefix("lib"))
        self.install_chimaera("lib64", "oldest", "Unix Makefiles", ())
        self.install_chimaera("lib/x86_64-linux-gnu", "newest", "Ninja",
                              self.compilers["clang"] or ())
        build(self.cmake, ROOT / "docs/examples/greet_cpp", self.directory / "hello-build", "Ninja",
              f"CMAKE_PREFIX_PATH={self.prefix('lib')}", f"CMAKE_INSTALL_PREFIX={self.hello}")
        run(self.cmake, "--install", self.directory / "hello-build")

    def try_out(self, row, number):
        """Builds and installs relay, moves the prefix, and runs the programs at each step."""
        place = self.directory / str(number)
        home, made, moved = place / "home", place / "build", place / "moved here"
        cmake = self.cmakes[row.cmake]
        link_tree(self.prefix(row.libdir), home)
        settings = [
            *self.compilers[row.compiler],
            f"CMAKE_CXX_STANDARD={row.standard}",
            "CMAKE_CXX_STANDARD_REQUIRED=ON",
            "CMAKE_CXX_EXTENSIONS=OFF",
            f"CMAKE_INSTALL_LIBDIR={row.libdir}",
            f"STATIC_CLIENT={'ON' if row.client == 'static' else 'OFF'}",
        ]
        prefixes = [self.hello]
        if row.source == "subdirectory":
            program = self.target / "release/chimaera"
            # The same packages as in the enclosing build, so that cargo has nothing to do.
            settings += [f"CHIMAERA_SOURCE_DIR={ROOT}", f"CHIMAERA_CARGO_TARGET_DIR={self.target}",
                         "CHIMAERA_CARGO_FLAGS=--workspace"]
        else:
            program = home / "bin/chimaera"
            prefixes += self.prefixes(row.libdir, home)
        build(cmake, self.relay, made, row.generator, *settings,
              f"CMAKE_PREFIX_PATH={';'.join(map(str, prefixes))}")
        if "welcome.cc" not in (made / "compile_commands.json").read_text():
            sys.exit("compile_commands.json does not have the project's sources")
        for language in ("c", "cc"):
            if ("libchimaera_client.so.0" in needed(made / f"welcome_{language}")) != (
                    row.client == "shared"):
                sys.exit(f"welcome_{language} is not linked with the {row.client} client")

        self.call(program, place, made, made / "modules")
        if row.source == "installed":
            # A repo with its own prefix finds Chimaera's libraries at their location.
            apart = place / "apart"
            run(cmake, "--install", made, "--prefix", apart)
            self.call(program, place, made, apart / MODULES)
        run(cmake, "--install", made, "--prefix", home)
        home.rename(moved)
        self.call(moved / "bin/chimaera", place, moved / "bin")
        prefixes = ";".join(map(str, (self.hello, *self.prefixes(row.libdir, moved))))
        run(cmake, "-S", ROOT / "tests/cmake/asks", "-B", place / "asks", "-G", row.generator,
            "-DPACKAGE=relay", "-DTARGET_OF_PACKAGE=relay::polite_client",
            f"-DCMAKE_PREFIX_PATH={prefixes}")

    def call(self, program, place, programs, *repos):
        """Runs both programs with a daemon of this program and these modules."""
        with daemon(program, place, (*repos, self.hello / MODULES)) as environment:
            there = loaded(program, environment)
            if not {"relay:polite", "hello:greet"} <= there:
                sys.exit(f"the daemon loads {there}")
            for language, guest in (("cc", "Ada"), ("c", "Bob")):
                said = run(programs / f"welcome_{language}", env=environment)
                if said != f"Hello, {guest}!Hello, {guest}!11\n":
                    sys.exit(f"welcome_{language} says {said}")


def main():
    places = parse_places(__doc__)
    check_pairs()
    left_out = 0
    with tempfile.TemporaryDirectory(prefix="chimaera-matrix-") as directory:
        matrix = Matrix(places, Path(directory))
        lacking = [matrix.lacks(row) for row in CONFIGURATIONS]
        if not all(lacking):
            matrix.prepare()
        for number, (row, lacks) in enumerate(zip(CONFIGURATIONS, lacking)):
            if lacks:
                print(f"SKIP {', '.join(row)}: {lacks}", flush=True)
                left_out += 1
            else:
                matrix.try_out(row, number)
                print(f"ok   {', '.join(row)}", flush=True)
    return SKIPPED if left_out else 0


if __name__ == "__main__":
    sys.exit(main())
