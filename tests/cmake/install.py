#!/usr/bin/env python3
"""Installs the build, moves the prefix, and uses it as its users would: a repo of modules that finds the
package, its installation, a project that finds both, programs that ask pkg-config, a repo that the
installed program makes, builds and installs, with a module in each language, and the installed program,
which finds all modules by itself. The sample repo is installed only by those who ask for it."""

import fnmatch
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from tools import MODULES, ROOT, ask, attempt, build, daemon, loaded, needed, parse_places, run

# The contents of the prefix: each file matches one of these, and each of these matches a file.
CONTENTS = """
    bin/chimaera
    include/chimaera/*.h
    include/chimaera_chimods/*.h
    lib/chimaera/modules/libchimaera_bench_runtime.so
    lib/chimaera/modules/libchimaera_bdev_runtime.so
    lib/chimaera/modules/libchimaera_empty_runtime.so
    lib/chimaera/modules/libchimaera_kv_runtime.so
    lib*/cmake/chimaera/ChimaeraModule.cmake
    lib*/cmake/chimaera/ChimaeraTargets.cmake
    lib*/cmake/chimaera/chimaeraConfig.cmake
    lib*/cmake/chimaera/chimaeraConfigVersion.cmake
    lib*/cmake/chimaera/chimaeraRepoConfig.cmake.in
    lib*/cmake/chimaera/chimaera_module.map
    lib*/libchimaera_client.a
    lib*/libchimaera_client.so
    lib*/libchimaera_client.so.0
    lib*/libchimaera_client.so.0.*
    lib*/libchimaera_embedded.so
    lib*/libchimaera_embedded.so.0
    lib*/libchimaera_embedded.so.0.*
    lib*/pkgconfig/chimaera.pc
    share/bash-completion/completions/chimaera
    share/chimaera/crate/*
    share/chimaera/schema/chimaera_mod.schema.json
    share/chimaera/schema/chimaera_repo.schema.json
    share/doc/chimaera/*
    share/fish/vendor_completions.d/chimaera.fish
    share/man/man1/chimaera*.1
    share/zsh/site-functions/_chimaera
""".split()

# The additional contents with CHIMAERA_INSTALL_EXAMPLE.
EXAMPLE = """
    include/example_chimods/*.h
    lib/chimaera/modules/libexample_empty_runtime.so
    lib/chimaera/modules/libexample_mod_name_runtime.so
    lib*/cmake/example/exampleConfig.cmake
    lib*/cmake/example/exampleConfigVersion.cmake
    lib*/cmake/example/exampleTargets*.cmake
    lib*/libexample_empty_client.so
    lib*/libexample_mod_name_client.so
""".split()


def check_contents(stage, prefix, contents):
    """Everything is under the prefix, and nothing contains its path."""
    files = {path for path in stage.rglob("*") if not path.is_dir()}
    names = {str(path.relative_to(prefix)) for path in files}
    for pattern in contents:
        if not fnmatch.filter(names, pattern):
            sys.exit(f"the installation lacks {pattern}")
    for name in names:
        if not any(fnmatch.fnmatch(name, pattern) for pattern in contents):
            sys.exit(f"the installation contains {name}, which is not on the list")
    for path in files:
        if path.suffix in (".cmake", ".pc"):
            if "/opt/chimaera" in path.read_text() or str(ROOT) in path.read_text():
                sys.exit(f"{path} contains the path of the prefix or the sources, so it cannot be moved")
        elif ".so" in path.name and not path.is_symlink():
            lines = run("readelf", "--dynamic", "--wide", path).splitlines()
            for line in lines:
                if "PATH)" in line and not all(
                        part.startswith("$ORIGIN") for part in line.split("[")[1][:-1].split(":")):
                    sys.exit(f"{path} contains a path that cannot be moved: {line}")


def install_example(places, directory):
    """Installs Chimaera with the sample repo. Returns the prefix."""
    made, prefix = directory / "with-example", directory / "sample"
    build(places.cmake, ROOT, made, "Ninja", "CHIMAERA_INSTALL_EXAMPLE=ON", "CHIMAERA_BUILD_CARGO=OFF",
          "CHIMAERA_BUILD_TESTS=OFF", f"CHIMAERA_CARGO_TARGET_DIR={places.target}",
          targets=[f"example_{name}_{part}" for name in ("mod_name", "empty") for part in ("client", "runtime")])
    run(places.cmake, "--install", made, "--prefix", prefix)
    check_contents(prefix, prefix, CONTENTS + EXAMPLE)
    return prefix


def check_schemas(prefix):
    for kind, name in (("repo", "repo"), ("module", "mod")):
        file = prefix / f"share/chimaera/schema/chimaera_{name}.schema.json"
        if file.read_text() != run(prefix / "bin/chimaera", "repo", "schema", kind):
            sys.exit(f"{file} differs from the output of `chimaera repo schema {kind}`")


def check_pkg_config(prefix, directory):
    """Builds a C and a C++ program with the flags of pkg-config. Returns the programs."""
    if shutil.which("pkg-config") is None:
        print("SKIP pkg-config is not installed")
        return []
    (file,) = prefix.rglob("chimaera.pc")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(file.parent)}
    programs = []
    for compiler, source in (("gcc", "store.c"), ("g++", "store.cc")):
        for options, link in (
            ([], [f"-Wl,-rpath,{file.parent.parent}"]),
            (["--define-prefix"], [f"-Wl,-rpath,{file.parent.parent}"]),
            (["--static"], ["-static"]),
        ):
            flags = run("pkg-config", "--cflags", "--libs", *options, "chimaera", env=environment)
            program = directory / f"{compiler}{''.join(options)}"
            run(compiler, "-Wall", ROOT / "tests/cmake/consumer" / source, "-o", program,
                *shlex.split(flags), *link)
            if ("libchimaera_client.so.0" in needed(program)) == ("--static" in options):
                sys.exit(f"{program} is not linked with the requested client")
            programs.append(program)
    return programs


def check_new_generator(program, repo, prefix, directory):
    """Code that a changed program generates is compiled by the next build, not by the one after
    it."""
    build("cmake", repo, directory, "Ninja", f"CMAKE_PREFIX_PATH={prefix}")
    real = program.with_name("chimaera.real")
    program.rename(real)
    header = repo / "in_cpp/autogen/in_cpp_lib_exec.h"
    program.write_text(f'#!/bin/sh\n"{real}" "$@" || exit\necho "#error of another program" >> "{header}"\n')
    program.chmod(0o755)
    done = attempt("cmake", "--build", directory)
    real.rename(program)
    if done.returncode == 0 or "error of another program" not in done.stdout:
        sys.exit(f"a build does not compile the code that it has generated:\n{done.stdout}")
    run(program, "repo", "refresh", repo)


def check_repo(program, sources, target, directory, moved):
    """Creates a repo with a module in each language, builds it against both the installed Chimaera
    and its sources, and installs it, finally beside Chimaera itself."""
    fresh, apart = directory / "fresh", directory / "apart"
    run(program, "repo", "new", fresh, "--namespace", "fresh")
    run(program, "module", "new", "in_cpp", "--lang", "cpp", "--repo", fresh)
    run(program, "module", "new", "in_rust", "--lang", "rust", "--described", "--repo", fresh)

    def expect_modules(*repos):
        with daemon(program, directory, repos) as environment:
            found = {name for name in loaded(program, environment) if name.startswith("fresh:")}
        if found != {"fresh:in_cpp", "fresh:in_rust"}:
            sys.exit(f"of the repo in {repos}, {found} is loaded")

    run(program, "repo", "build", fresh)
    expect_modules(fresh / "build/modules")
    check_new_generator(program, fresh, moved, directory / "b4")
    run(program, "repo", "install", apart, fresh)
    expect_modules(apart / MODULES)
    # The package contains the clients of both modules; that of the Rust module is for C++.
    for module, header in (("in_cpp", "in_cpp/in_cpp_client.h"), ("in_rust", "in_rust_described_client.h")):
        build("cmake", ROOT / "tests/cmake/asks", directory / f"asks-{module}", "Ninja", "PACKAGE=fresh",
              f"TARGET_OF_PACKAGE=fresh::{module}_client", f"HEADER={header}",
              f"CMAKE_PREFIX_PATH={moved};{apart}")

    # Both Chimaera and the Rust module are used as the enclosing build made them.
    from_sources = directory / "from-sources"
    from_sources.mkdir()
    (from_sources / "cargo").symlink_to(fresh / "build/cargo")
    run("cmake", "-S", fresh, "-B", from_sources, f"-DCHIMAERA_SOURCE_DIR={ROOT}",
        f"-DCHIMAERA_CARGO_TARGET_DIR={target}", "-DCHIMAERA_CARGO_FLAGS=--workspace")
    run(sources, "repo", "build", fresh, "--build-dir", from_sources, "--source", ROOT)
    expect_modules(from_sources / "modules")

    run(program, "repo", "install", moved, fresh)
    expect_modules()


def main():
    places = parse_places(__doc__)
    if "mod_name_runtime.cc" not in (places.build / "compile_commands.json").read_text():
        sys.exit("compile_commands.json does not have the project's sources")
    with tempfile.TemporaryDirectory(prefix="chimaera-install-") as name:
        directory = Path(name)
        stage, moved, hello = directory / "stage", directory / "moved here", directory / "hello"
        run(places.cmake, "--install", places.build, "--prefix", "/opt/chimaera",
            env={**os.environ, "DESTDIR": str(stage)})
        check_contents(stage, stage / "opt/chimaera", CONTENTS)
        shutil.move(stage / "opt/chimaera", moved)
        check_schemas(moved)
        sample = install_example(places, directory)
        ask(places.cmake, f"{moved};{sample}", directory)

        build(places.cmake, ROOT / "docs/examples/greet_cpp", directory / "b1", "Unix Makefiles",
              f"CMAKE_PREFIX_PATH={moved}", f"CMAKE_INSTALL_PREFIX={hello}")
        run(places.cmake, "--install", directory / "b1")
        build(places.cmake, ROOT / "tests/cmake/consumer", directory / "b2", "Ninja",
              f"CMAKE_PREFIX_PATH={moved};{hello};{sample}")
        build(places.cmake, ROOT / "tests/cmake/consumer", directory / "b3", "Ninja",
              f"CHIMAERA_SOURCE_DIR={ROOT}", "CHIMAERA_BUILD_CARGO=OFF",
              f"CHIMAERA_CARGO_TARGET_DIR={places.target}")
        build(places.cmake, ROOT / "tests/cmake/consumer_c", directory / "b5", "Ninja",
              f"CMAKE_PREFIX_PATH={moved}")
        programs = [directory / "b2/consumer", directory / "b3/consumer", directory / "b5/consumer_c",
                    *check_pkg_config(moved, directory)]

        program = moved / "bin/chimaera"
        with daemon(program, directory, [hello / MODULES, sample / MODULES]) as environment:
            found = loaded(program, environment)
            wanted = {"chimaera:bdev", "chimaera:bench", "chimaera:kv", "chimaera:empty",
                      "example:mod_name", "example:empty", "hello:greet"}
            if found != wanted:
                sys.exit(f"the installed program loads {found}, not {wanted}")
            for each in programs:
                print(run(each, env=environment), end="")
        check_repo(program, places.target / "release/chimaera", places.target, directory, moved)
    print("the installed package works after it was moved")


if __name__ == "__main__":
    main()
