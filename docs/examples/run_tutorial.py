#!/usr/bin/env python3
"""Follows a page, such as docs/tutorial-*.md, as its reader would: from an empty home directory, in one shell,
block by block. It fails on the first difference between the page and what happens.

What a block is, its fence and the comment above it say:

    ```sh                      commands, each of which must succeed
    ```console                 lines with `$ ` are commands, which must succeed; the rest is their output,
                               in which `...` stands for anything, on a line of its own for any lines
    <!-- file: PATH -->        the reader writes this file, below the directory that the shell is in
    <!-- part of: PATH -->     lines of a file that is there already
    <!-- not run: REASON -->   a block that cannot be followed here

Pages that are no tutorials are for readers who have installed Chimaera: `--installed` puts the program in PATH and
has it find its modules, and `--before` is what the reader has done before.

The page is the only source: a block of another kind is an error, and so is a file whose name only the
comment tells, for readers do not see comments. The checkout is `chimaera` in the home, with the build that
is tested in its directory `build`.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"(?:^<!-- (?P<role>[a-z ]+): (?P<path>.+?) -->\n)?"
    r"^```(?P<language>\S*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
# These would make the reader's programs use other directories or instances.
NOT_INHERITED = (
    "CARGO_BUILD_TARGET_DIR CHI_INSTANCE CHI_LOG CHI_REPO_PATH CHIMAERA "
    "CHIMAERA_SOURCE_DIR DESTDIR LD_LIBRARY_PATH PKG_CONFIG_PATH RUSTFLAGS"
).split()


class Failed(Exception):
    """The page is wrong."""


@dataclass
class Block:
    """A fenced block of the page."""

    line: int
    role: str
    path: str
    text: str


def blocks(page):
    """The blocks of a page, each of a known kind."""
    text = page.read_text(encoding="utf-8")
    found, end = [], 0
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        role, prose = match["role"] or match["language"], text[end : match.start()]
        if role == "not run":
            end = match.end()
            continue
        if role not in ("sh", "console", "file", "part of"):
            raise Failed(f"{page.name}:{line}: unknown kind of block `{role}`")
        if match["path"] and f"`{match['path']}`" not in prose:
            raise Failed(f"{page.name}:{line}: the text above does not name `{match['path']}`")
        found.append(Block(line, role, match["path"] or "", match["text"]))
        end = match.end()
    rest = BLOCK.sub("", text)
    if "```" in rest or re.search(r"<!-- [a-z ]+: ", rest):
        raise Failed(f"{page.name}: an unterminated fence, or a comment without a block")
    if not found:
        raise Failed(f"{page.name}: no blocks")
    return found


class Shell:
    """A shell that keeps its directory and variables from step to step."""

    def __init__(self, home, scratch, environment):
        self.script, self.output = scratch / "step.sh", scratch / "output"
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, text):
        """Runs a text; returns whether it succeeded, and what it printed."""
        self.script.write_text(text, encoding="utf-8")
        self.process.stdin.write(f'. "{self.script}" >"{self.output}" 2>&1 </dev/null; echo $?\n')
        self.process.stdin.flush()
        # A shell that `set -e` has ended prints nothing.
        status = self.process.stdout.readline().strip()
        return status == "0", self.output.read_text(encoding="utf-8", errors="replace")

    def directory(self):
        """The shell's working directory."""
        return Path(self.run("pwd")[1].rstrip("\n"))

    def close(self):
        """Ends the shell."""
        self.process.stdin.close()
        self.process.wait()


def pattern(expected):
    """The pattern of an output with placeholders."""
    lines = []
    for line in expected.splitlines():
        if line == "...":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(".*?".join(map(re.escape, line.split("..."))) + r"\n")
    return "".join(lines)


def commands(text):
    """The commands of a console block, each with the output that it shows."""
    shown = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            shown.append([line[2:], ""])
        elif not shown:
            raise Failed("the block begins with an output; lines with `$ ` are commands")
        elif shown[-1][1] == "" and shown[-1][0].endswith("\\\n"):
            shown[-1][0] += line
        else:
            shown[-1][1] += line
    return shown


def follow(shell, block):
    """Does what a block says, and checks the result."""
    if block.role == "sh":
        succeeded, printed = shell.run(f"set -e\n{block.text}set +e\n")
        if not succeeded:
            raise Failed(f"a command failed:\n{printed}")
    elif block.role == "console":
        for command, expected in commands(block.text):
            succeeded, printed = shell.run(command)
            if not succeeded:
                raise Failed(f"this failed:\n$ {command}{printed}")
            if "warning:" in printed and "warning:" not in expected:
                raise Failed(f"warnings that the page does not show:\n$ {command}{printed}")
            if not re.fullmatch(pattern(expected), printed):
                raise Failed(f"the output differs from the page:\n$ {command}{printed}")
    else:
        path = shell.directory() / block.path
        if block.role == "file":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.text not in path.read_text(encoding="utf-8"):
            raise Failed(f"{block.path} does not contain these lines; it contains:\n{path.read_text(encoding='utf-8')}")


def check_out(checkout, build):
    """Makes a copy of this checkout's layout with links to the build under test, wherever that is."""
    checkout.mkdir()
    for entry in ROOT.iterdir():
        if entry.name != "build":
            (checkout / entry.name).symlink_to(entry)
    (checkout / "build").symlink_to(build)


def reader(home, scratch):
    """The environment of a user who has just begun."""
    environment = {
        name: value for name, value in os.environ.items() if name not in NOT_INHERITED
    }
    # Tools installed in the real home directory must still be found.
    for name, directory in (("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")):
        environment.setdefault(name, str(Path.home() / directory))
    environment.update(
        HOME=str(home),
        XDG_RUNTIME_DIR=str(scratch),
        # Root's would be one of the machine.
        STATE_DIRECTORY=str(scratch / "state"),
        # The projects of the page build the same crates.
        CARGO_TARGET_DIR=str(scratch / "target"),
        CARGO_PROFILE_DEV_DEBUG="0",
        CARGO_TERM_COLOR="never",
        LC_ALL="C.UTF-8",
    )
    return environment


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("page", type=Path, help="the page")
    parser.add_argument("--build", type=Path, required=True, help="CMake's build directory")
    parser.add_argument("--installed", type=Path, help="the directory of the program")
    parser.add_argument("--before", default="", help="commands before the first block")
    arguments = parser.parse_args()
    steps = blocks(arguments.page)
    # A short path, because the daemon's socket is below it.
    with tempfile.TemporaryDirectory(prefix="chimaera-tutorial-") as directory:
        scratch = Path(directory)
        home = scratch / "home"
        home.mkdir()
        check_out(home / "chimaera", arguments.build.absolute())
        environment = reader(home, scratch)
        program = home / ".local/bin/chimaera"
        if arguments.installed:
            program = arguments.installed.absolute() / "chimaera"
            environment["PATH"] = f"{program.parent}:{environment['PATH']}"
            environment["CHI_REPO_PATH"] = str(arguments.build.absolute() / "modules")
        shell = Shell(home, scratch, environment)
        try:
            if arguments.before:
                follow(shell, Block(0, "sh", "", arguments.before + "\n"))
            for block in steps:
                try:
                    follow(shell, block)
                except Failed as failed:
                    raise Failed(f"{arguments.page.name}:{block.line}: {failed}") from None
        finally:
            shell.close()
            if list(scratch.glob("chimaera/*.sock")):
                # The page was not followed to its end, or leaves it running.
                subprocess.run([program, "stop"], env=environment, check=False)
    print(f"{len(steps)} blocks of {arguments.page.name} behave as the page says")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        print(failed, file=sys.stderr)
        sys.exit(1)
