#!/usr/bin/env python3
"""Draws what `chimaera-peers --json` has measured: plot.py RESULTS DIRECTORY

Needs matplotlib (Debian: python3-matplotlib). Writes peers.svg and peers.png into the directory.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
# The same numbers give the same file.
matplotlib.rcParams["svg.hashsalt"] = "chimaera"
import matplotlib.pyplot as plt  # noqa: E402

SCALE = (10, 2e7)
TICKS = [(10, "10 ns"), (100, "100 ns"), (1e3, "1 us"), (1e4, "10 us"), (1e5, "100 us"), (1e6, "1 ms"),
         (1e7, "10 ms")]
OWN, FLOOR, OTHER = "#2563eb", "#9ca3af", "#d97706"


def colour(number, name):
    if name.startswith("Chimaera"):
        return OWN
    return FLOOR if number == 0 else OTHER


def draw(axis, group):
    rows = group["rows"]
    names = [row["name"] for row in rows]
    places = range(len(rows))
    colours = [colour(number, name) for number, name in enumerate(names)]
    axis.barh(places, [row["p50_ns"] for row in rows], color=colours)
    axis.plot([row["p99_ns"] for row in rows], places, "k|", markersize=8, label="p99")
    axis.set_yticks(places, names, fontsize=8)
    axis.invert_yaxis()
    # The same scale for all: bars of a logarithmic scale begin anywhere.
    axis.set_xscale("log")
    axis.set_xlim(*SCALE)
    axis.set_xticks([tick for tick, _ in TICKS], [name for _, name in TICKS])
    axis.minorticks_off()
    axis.set_title(f"{group['name']}: {group['what']}", fontsize=9, loc="left")
    axis.tick_params(axis="x", labelsize=8)
    for place, row in zip(places, rows):
        axis.text(row["p99_ns"] * 1.2, place, f"{row['ratio']:.2f}", va="center", fontsize=7)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    groups, machine = document["groups"], document["machine"]
    heights = [len(group["rows"]) + 1.5 for group in groups]
    figure, axes = plt.subplots(
        len(groups), 1, figsize=(8, 0.24 * sum(heights)), gridspec_kw={"height_ratios": heights}
    )
    for axis, group in zip(axes, groups):
        draw(axis, group)
    axes[-1].set_xlabel(
        "Bars are medians, marks the 99th percentile; by each bar, its ratio to the first. "
        f"{machine['processor']}, two cores",
        fontsize=8,
    )
    figure.tight_layout()
    directory = Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / "peers.svg", metadata={"Date": None})
    figure.savefig(directory / "peers.png", dpi=110)
    print(f"{directory / 'peers.svg'} and {directory / 'peers.png'}")


if __name__ == "__main__":
    main()
