#!/usr/bin/env python3
"""Fails when a listing in README.md or docs/*.md differs from the file that it names.

A listing is named by a comment just above it:

    <!-- listing: docs/examples/client.c -->

With --write, the pages are brought up to date instead.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTING = re.compile(
    r"(?P<head><!-- listing: (?P<path>\S+) -->\n```\w*\n)(?P<text>.*?)(?P<tail>^```$)",
    re.DOTALL | re.MULTILINE,
)


def main():
    write = sys.argv[1:] == ["--write"]
    stale, count = [], 0
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")

        def fresh(match):
            nonlocal count
            count += 1
            found = (ROOT / match["path"]).read_text(encoding="utf-8")
            if found != match["text"]:
                stale.append(f"{page.relative_to(ROOT)}: {match['path']}")
            return match["head"] + found + match["tail"]

        updated = LISTING.sub(fresh, text)
        if write:
            page.write_text(updated, encoding="utf-8")
        named = text.count("<!-- listing: ")
        if named != len(LISTING.findall(text)):
            stale.append(f"{page.relative_to(ROOT)}: a listing's comment has no block below it")
    if stale and not write:
        print("stale listings; run docs/examples/check_listings.py --write:", file=sys.stderr)
        print("\n".join(f"  {each}" for each in stale), file=sys.stderr)
        return 1
    print(f"{count} listings match their files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
