#!/usr/bin/env python3
"""Fails when a link in one of the project's pages points to a file or a heading that does not exist, or
when SECURITY.md or docs/guarantees.md names a test or a fuzzer that does not exist.

Links to other places, which begin with a scheme such as https, are not followed.
"""

import re
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
# Directories with build products and third-party files.
NOT_OURS = {".git", "build", "target"}

FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)


def pages():
    for path in sorted(ROOT.rglob("*.md")):
        if not NOT_OURS & set(path.relative_to(ROOT).parts):
            yield path


def anchors(page):
    """The anchors of a page: explicit ones, and those that GitHub generates from its headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    seen, names = {}, set(re.findall(r'<a id="([^"]+)">', text))
    for heading in HEADING.findall(text):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = seen.get(name, 0)
        seen[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


def problem(page, link):
    """What is wrong with a link of a page, or None."""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", link):
        return None
    path, _, anchor = unquote(link).partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.is_relative_to(ROOT):
        return "points outside the project"
    if not target.exists():
        return "there is no such file"
    if anchor and target.suffix == ".md" and anchor not in anchors(target):
        return f"{target.relative_to(ROOT)} has no such heading or anchor"
    return None


def absent_tests(page):
    """What a page calls a test or a fuzzer, and is none."""
    text = (ROOT / page).read_text(encoding="utf-8")
    tests, fuzzers = re.findall(r"`(\w+)::(\w+)`", text), re.findall(r"\bfuzzers? ((?:`\w+`[, and]*)+)", text)
    for file, test in tests:
        path = ROOT / f"tests/system/tests/{file}.rs"
        if not path.exists() or not re.search(rf"\bfn {test}\b", path.read_text(encoding="utf-8")):
            if test != "test":
                yield f"{page}: there is no test {file}::{test}"
    for name in re.findall(r"`(\w+)`", " ".join(fuzzers)):
        if not (ROOT / f"fuzz/targets/{name}.rs").exists():
            yield f"{page}: there is no fuzzer {name}"
    if not tests or not fuzzers:
        yield f"{page} names no tests or no fuzzers"


def main():
    broken = [line for page in ("SECURITY.md", "docs/guarantees.md") for line in absent_tests(page)]
    count = 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        # Code is blanked to the same length, so that positions stay right.
        for pattern in (FENCE, CODE):
            text = pattern.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
        for match in LINK.finditer(text):
            count += 1
            link = match[1] or match[2]
            wrong = problem(page, link)
            if wrong:
                line = text.count("\n", 0, match.start()) + 1
                broken.append(f"{page.relative_to(ROOT)}:{line}: {link}: {wrong}")
    if broken or not count:
        print("\n".join(broken or ["no link was found at all"]), file=sys.stderr)
        return 1
    print(f"{count} links are valid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
