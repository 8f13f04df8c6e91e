#!/usr/bin/env python3
"""The output of `chimaera repo new`, `module new` and `module add-method` builds without warnings,
and its own tests pass against a daemon. Builds never use stale generated code. Mistakes do not
compile, and the compiler reports why."""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import compile_errors


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmake", required=True)
    parser.add_argument("--cargo", required=True)
    parser.add_argument("--target", required=True, help="the directory into which cargo has built Chimaera")
    parser.add_argument("--source", required=True, help="the checkout of Chimaera")
    args = parser.parse_args()
    chimaera = pathlib.Path(args.target) / "release/chimaera"

    with tempfile.TemporaryDirectory() as home:
        repo = pathlib.Path(home) / "my_mod_repo"
        environment = dict(os.environ, CHIMAERA=str(chimaera), CARGO_TARGET_DIR=str(repo / "target"))
        environment["RUSTFLAGS"] = "-D warnings"
        runtime = pathlib.Path(home) / "run"
        runtime.mkdir(mode=0o700)
        environment["XDG_RUNTIME_DIR"] = str(runtime)

        def run(*command, directory=repo):
            command = [str(word) for word in command]
            done = subprocess.run(command, cwd=directory, env=environment, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")
            return done.stdout

        run(chimaera, "repo", "new", repo, "--namespace", "example", directory=home)
        run(chimaera, "module", "new", "mod_name", "--lang", "cpp")
        run(chimaera, "module", "new", "other_mod", "--lang", "rust", "--source", args.source)
        run(chimaera, "module", "new", "told_cpp", "--lang", "cpp", "--described")
        run(chimaera, "module", "new", "told_rust", "--lang", "rust", "--described")
        modules = ["mod_name", "other_mod", "told_cpp", "told_rust"]
        for module in modules:
            run(chimaera, "module", "add-method", "kMove", directory=repo / module)
        # With a longer name, clang-format may break lines differently.
        if shutil.which("clang-format"):
            sources = [path for path in repo.rglob("*") if path.suffix in (".h", ".cc")]
            run("clang-format", f"--style=file:{args.source}/.clang-format", "--dry-run", "-Werror",
                *sources)
        run(args.cargo, "fmt", "--check")
        for module in modules:
            run(chimaera, "module", "add-method", "Compress", directory=repo / module)
        for module in ["told_cpp", "told_rust"]:
            text = (repo / module / "chimaera_mod.yaml").read_text(encoding="utf-8")
            for line in ["kMove: 11\n", "  kMove:\n    fields: []\n"]:
                if line not in text:
                    sys.exit(f"{module} does not describe kMove:\n{text}")
        run(chimaera, "repo", "refresh", "--check")

        tree = sorted(str(path.relative_to(repo / "mod_name"))
                      for path in (repo / "mod_name").rglob("*") if path.is_file())
        expect_tree = [
            "CMakeLists.txt", "autogen/mod_name_lib_exec.h", "autogen/mod_name_methods.h",
            "chimaera_mod.yaml", "include/mod_name/mod_name_client.h",
            "include/mod_name/mod_name_tasks.h", "src/CMakeLists.txt", "src/mod_name_client.cc",
            "src/mod_name_runtime.cc", "test/CMakeLists.txt", "test/mod_name_test.cc",
        ]
        if tree != expect_tree:
            sys.exit(f"the module's tree is {tree}")

        run(args.cmake, "-S", ".", "-B", "build", "-G", "Ninja", f"-DCHIMAERA_SOURCE_DIR={args.source}",
            f"-DCHIMAERA_CARGO_TARGET_DIR={args.target}", "-DCHIMAERA_BUILD_CARGO=OFF",
            "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Wshadow -Werror")
        run(args.cmake, "--build", "build", "--target", "all")

        # A repo that says it is Chimaera's own is refused, before it replaces Chimaera's package.
        other = pathlib.Path(home) / "other"
        other.mkdir()
        for name in ["CMakeLists.txt", "chimaera_repo.yaml"]:
            text = (repo / name).read_text(encoding="utf-8")
            text = re.sub(r"namespace: example", "namespace: Chimaera", text)
            text = re.sub(r"(NAMESPACE example|add_subdirectory\(\w+_\w+\))", "", text)
            (other / name).write_text(text, encoding="utf-8")
        refused = subprocess.run(
            [args.cmake, "-S", other, "-B", other / "build", "-G", "Ninja",
             f"-DCHIMAERA_SOURCE_DIR={args.source}", f"-DCHIMAERA_CARGO_TARGET_DIR={args.target}",
             "-DCHIMAERA_BUILD_CARGO=OFF"], text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        reason = 'the namespace "Chimaera" belongs to Chimaera\'s own modules'
        if refused.returncode == 0 or reason not in " ".join(refused.stdout.split()):
            sys.exit(f"the namespace Chimaera was accepted, or the reason is missing:\n{refused.stdout}")
        ctest = pathlib.Path(args.cmake).with_name("ctest")
        run(ctest, "--test-dir", "build", "--output-on-failure", "--no-tests=error")
        # A daemon that has stopped removes its log last.
        until = time.monotonic() + 30
        while (left := list((runtime / "chimaera").iterdir())) and time.monotonic() < until:
            time.sleep(0.01)
        if left:
            sys.exit(f"the tests' daemons have left {left}")
        run(args.cargo, "test")

        # After a change of the YAML one build suffices, whatever has happened to the generated
        # files.
        for number in (40, 41):
            yaml = repo / "mod_name/chimaera_mod.yaml"
            text = yaml.read_text(encoding="utf-8")
            yaml.write_text(re.sub(r"^kMove: \d+", f"kMove: {number}", text, flags=re.MULTILINE),
                            encoding="utf-8")
            run(args.cmake, "--build", "build")
            built = json.loads(run(chimaera, "module", "inspect", "--json",
                                   "build/modules/libexample_mod_name_runtime.so"))
            if number not in [method["number"] for method in built["methods"]]:
                sys.exit(f"kMove is not {number} in the module that was built:\n{built['methods']}")
            shutil.rmtree(repo / "mod_name/autogen")
        run(args.cmake, "--build", "build")

        compile_errors.check_cpp(chimaera, args.source, repo / "mod_name", "example")
        compile_errors.check_rust(args.cargo, environment, repo / "other_mod")


if __name__ == "__main__":
    main()
