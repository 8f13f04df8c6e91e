#!/usr/bin/env python3
"""Types the specification's listings: compares the files of typed/my_mod_repo with them, line by line, and
then does with that repo what its author would do. It is built against an installed Chimaera, installed,
loaded by a daemon, and called by a program that finds its package. README.md tells what is mended, and
what the marks in the files mean."""

import re
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "cmake"))
from tools import MODULES, build, daemon, loaded, parse_places, run  # noqa: E402

TYPED = HERE / "typed"
REPO = TYPED / "my_mod_repo"
MODULE = REPO / "mod_name"

# Files with corrected slips, each with its listing.
MENDED = {
    "mod_name_tasks.h": MODULE / "include/mod_name/mod_name_tasks.h",
    "mod_name_client.h": MODULE / "include/mod_name/mod_name_client.h",
    "mod_name_runtime.cc": MODULE / "src/mod_name_runtime.cc",
}
MARK = re.compile(r"// (slip|added)\(([a-z]+)\)( \{)?$")

# Pairs of a compiler and a standard; a pair is skipped if its compiler is not installed.
COMPILERS = [("gcc", "g++", "17"), ("clang", "clang++", "20")]


def listing(name):
    return (HERE / f"listings/{name}.txt").read_text()


def compare(name, path):
    """Compares a listing and its file in parallel. Returns the marks found."""
    wanted, marks, region = listing(name).splitlines(), set(), None
    place = 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        mark = MARK.search(line)
        if mark:
            marks.add(mark[2])
        if region:
            region = None if line.strip() == "// } added" else region
        elif mark and mark[1] == "added":
            region = mark[2]
        else:
            if place == len(wanted):
                sys.exit(f"{path}:{number}: the listing {name} ends before this line, which has no mark")
            if (line == wanted[place]) == bool(mark):
                sys.exit(f"{path}:{number}: the listing {name} has, in line {place + 1},\n"
                         f"    {wanted[place]}\nand the file has\n    {line}")
            place += 1
    if region or place != len(wanted):
        sys.exit(f"{path} ends before its listing does, or within what is added")
    return marks


def check_listings():
    """The files are the listings, except for what is marked, and README.md explains each mark."""
    if (MODULE / "chimaera_mod.yaml").read_text() != listing("chimaera_mod.yaml"):
        sys.exit(f"{MODULE}/chimaera_mod.yaml differs from the listing")
    marks = set().union(*(compare(name, path) for name, path in MENDED.items()))
    told = set(re.findall(r"^\| `([a-z]+)` \|", (HERE / "README.md").read_text(), re.MULTILINE))
    if marks != told:
        sys.exit(f"the files have the marks {sorted(marks)}, README.md explains {sorted(told)}")


def listed_tree():
    """The files of the listed tree, as paths relative to its root."""
    files, stack = set(), []
    for line in listing("repo_tree").splitlines()[1:]:
        indent, name = re.match(r"([│├└─\s]*)(\S+)", line).groups()
        del stack[len(indent) // 4 - 1:]
        stack.append(name)
        if "." in name:
            files.add("/".join(stack))
    return files


def check_tree(repo):
    """After a build, the repo contains the files of the listed tree, and no others."""
    there = {str(path.relative_to(repo)) for path in repo.rglob("*") if path.is_file()}
    if there != listed_tree():
        sys.exit(f"the repo has, or has not, {sorted(there ^ listed_tree())}, unlike the listed tree")


def check_generated(repo):
    """What is generated has the lines of its listings: readings let the YAML rule over a number, and add the
    Runtime to the parameters."""
    methods = (repo / "mod_name/autogen/mod_name_methods.h").read_text()
    dispatch = (repo / "mod_name/autogen/mod_name_lib_exec.h").read_text()
    numbers = dict(re.findall(r"^(k\w+): +(\d+)", listing("chimaera_mod.yaml"), re.MULTILINE))
    for name in re.findall(r"CLS_CONST int (k\w+)", listing("mod_name_methods.h")):
        if f"CLS_CONST int {name} = {numbers[name]};" not in methods:
            sys.exit(f"mod_name_methods.h does not have {name}:\n{methods}")
    for case in re.findall(r"case Method::k\w+:", listing("mod_name_lib_exec.h")):
        if case not in dispatch:
            sys.exit(f"mod_name_lib_exec.h does not have {case}:\n{dispatch}")


def try_out(cmake, chimaera, place, settings):
    """Builds, installs and calls the repos."""
    typed, user = place / "typed", place / "user"
    shutil.copytree(TYPED, typed)
    for name in ("my_mod_repo", "hand"):
        build(cmake, typed / name, place / name, "Ninja", *settings, f"CMAKE_PREFIX_PATH={chimaera}")
        run(cmake, "--install", place / name, "--prefix", user)
    check_tree(typed / "my_mod_repo")
    check_generated(typed / "my_mod_repo")
    build(cmake, HERE / "call", place / "call", "Ninja", *settings,
          f"CMAKE_PREFIX_PATH={chimaera};{user}")
    program = chimaera / "bin/chimaera"
    with daemon(program, place, [user / MODULES]) as environment:
        there = loaded(program, environment)
        if not {"example:mod_name", "hand:run", "hand:own"} <= there:
            sys.exit(f"the daemon loads {there}")
        run(place / "call/call", env=environment)


def main():
    places = parse_places(__doc__)
    check_listings()
    with tempfile.TemporaryDirectory(prefix="chimaera-spec-") as name:
        directory = Path(name)
        chimaera = directory / "chimaera"
        run(places.cmake, "--install", places.build, "--prefix", chimaera)
        for c, cxx, standard in COMPILERS:
            if shutil.which(cxx) is None:
                print(f"SKIP {cxx} is not installed")
                continue
            settings = (f"CMAKE_C_COMPILER={c}", f"CMAKE_CXX_COMPILER={cxx}",
                        f"CMAKE_CXX_STANDARD={standard}")
            place = directory / c
            place.mkdir()
            try_out(places.cmake, chimaera, place, settings)
    print("the specification's listings work as typed")


if __name__ == "__main__":
    main()
