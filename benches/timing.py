"""Shared by the benches here: measuring and reporting times."""

import json
import statistics
import subprocess
import sys
import time


def milliseconds(command, **options):
    """Runs a command, which must succeed. Returns how long it took, as seen by its caller."""
    begin = time.monotonic()
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **options)
    took = (time.monotonic() - begin) * 1e3
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return took


def summary(times):
    """The median and the maximum of some times, and of many the 99th percentile."""
    some = {"median": statistics.median(times)}
    if len(times) >= 100:
        some["p99"] = statistics.quantiles(times, n=100, method="inclusive")[-1]
    return {**some, "worst": max(times), "runs": len(times)}


def tell(document, as_json):
    """Prints a document as JSON, or one line per value."""
    if as_json:
        print(json.dumps(document, indent=2))
        return
    for key, value in document.items():
        if isinstance(value, dict):
            shown = [f"{name} {value[name]:.1f}" for name in ("median", "p99", "worst") if name in value]
            value = f"{', '.join(shown)} of {value['runs']} runs"
        elif isinstance(value, float):
            value = f"{value:.1f}"
        print(f"{key:<32} {value}")
