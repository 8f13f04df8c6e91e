"""Shared by the tests of the CMake package."""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = "lib/chimaera/modules"


def parse_places(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cmake", required=True, help="the program cmake of the build")
    parser.add_argument("--build", type=Path, required=True, help="the project's build directory")
    parser.add_argument("--target", type=Path, required=True, help="cargo's target directory")
    return parser.parse_args()


def attempt(*command, **options):
    return subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, **options)


def run(*command, **options):
    done = attempt(*command, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def build(cmake, source, directory, generator, *settings, targets=()):
    """Configures a project with `settings` (`NAME=value`) and builds it, without a warning."""
    output = run(cmake, "-S", source, "-B", directory, "-G", generator, "-DCMAKE_BUILD_TYPE=Release",
                 *(f"-D{setting}" for setting in settings))
    chosen = ("--target", *targets) if targets else ()
    output += run(cmake, "--build", directory, "--parallel", "2", *chosen)
    if any(warning in output for warning in ("warning:", "CMake Warning", "CMake Deprecation")):
        sys.exit(f"warnings while {source} was built:\n{output}")


def needed(binary):
    """The shared libraries that a program or library needs."""
    lines = run("readelf", "--dynamic", "--wide", binary).splitlines()
    return {line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line}


@contextlib.contextmanager
def daemon(program, directory, repos):
    """Starts a daemon with `repos` and its default modules only; yields the environment for its
    clients."""
    runtime = directory / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    environment = {
        **os.environ,
        "XDG_RUNTIME_DIR": str(runtime),
        "CHI_INSTANCE": f"cmake-{os.getpid()}",
        "CHI_REPO_PATH": ":".join(map(str, repos)),
    }
    environment.pop("LD_LIBRARY_PATH", None)
    run(program, "start", "--daemon", env=environment)
    try:
        yield environment
    finally:
        run(program, "stop", env=environment)


def loaded(program, environment):
    modules = json.loads(run(program, "modules", "--json", env=environment))
    return {module["name"] for module in modules["loaded"]}


def ask(cmake, prefix, directory):
    """Looks for the installed package in all cases, whether it exists or not."""
    project = ROOT / "tests/cmake/asks"
    settings = ("-S", project, f"-DCMAKE_PREFIX_PATH={prefix}")
    run(cmake, *settings, "-B", directory / "asks")
    for package, component, reason in [
        ("chimaera", "nonsense", 'chimaera has no component "nonsense"; its components are client,'),
        ("example", "nonsense", 'example has no module "nonsense"'),
    ]:
        failing = attempt(cmake, *settings, "-B", directory / f"asks-{package}",
                          f"-DPACKAGE={package}", f"-DCOMPONENT={component}")
        if failing.returncode == 0 or reason not in " ".join(failing.stdout.split()):
            sys.exit(f"{package} was found with {component}, or the reason is missing:\n"
                     f"{failing.stdout}")


def link_tree(source, target):
    """A copy of a tree that uses hard links and so takes no space."""
    shutil.copytree(source, target, symlinks=True, copy_function=os.link)
