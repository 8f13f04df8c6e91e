#!/usr/bin/env python3
"""How long `chimaera repo refresh` takes on a repo of 200 modules of 50 methods each.

The target is less than a second for the first refresh, which writes every file. Also measured: a
refresh that has nothing to do, and one after a change to one of the YAML files. Every other module
is in Rust.
"""

import argparse
import pathlib
import tempfile

from timing import milliseconds, summary, tell

TARGET_MS = 1000


def module_file(language, methods, first=10):
    """The YAML of a module."""
    lines = [f"kMethod{number}: {first + number}\n" for number in range(methods)]
    return f"language: {language}\n" + "".join(lines)


def make(repo, modules, methods):
    """Creates a repo as it is before the first refresh."""
    (repo / "chimaera_repo.yaml").write_text("namespace: example\n", encoding="utf-8")
    for number in range(modules):
        module = repo / f"module{number:03}"
        module.mkdir()
        language = "rust" if number % 2 else "cpp"
        text = module_file(language, methods)
        (module / "chimaera_mod.yaml").write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path, help="the program chimaera")
    parser.add_argument("--runs", type=int, default=7, help="number of runs (default: 7)")
    parser.add_argument("--modules", type=int, default=200, help="default: 200")
    parser.add_argument("--methods", type=int, default=50, help="methods per module (default: 50)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()

    first, again, changed = [], [], []
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory() as home:
            repo = pathlib.Path(home)
            make(repo, args.modules, args.methods)
            refresh = [str(args.program.resolve()), "repo", "refresh", home]
            first.append(milliseconds(refresh))
            again.append(milliseconds(refresh))
            text = module_file("cpp", args.methods, first=11)
            (repo / "module000/chimaera_mod.yaml").write_text(text, encoding="utf-8")
            changed.append(milliseconds(refresh))
            milliseconds([*refresh, "--check"])
    document = {
        "modules": args.modules,
        "methods_of_each": args.methods,
        "refresh_ms": summary(first),
        "refresh_nothing_to_do_ms": summary(again),
        "refresh_one_module_changed_ms": summary(changed),
    }
    median = document["refresh_ms"]["median"]
    document["writing_adds_ms"] = median - document["refresh_nothing_to_do_ms"]["median"]
    document["target_ms"] = TARGET_MS
    document["met"] = median < TARGET_MS
    tell(document, args.json)


if __name__ == "__main__":
    main()
