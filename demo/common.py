"""What the demos share: how they fail, how they are interrupted, and how they print."""

import contextlib
import signal


class Failed(Exception):
    """A failure with a readable message."""


class Signals:
    """Turns signals into an orderly shutdown, which a section of the program can defer."""

    ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.put_off = False
        self.pending = None
        for each in self.ALL:
            signal.signal(each, self.arrived)

    def arrived(self, number, _):
        self.pending = number
        self.check()

    def check(self):
        if self.pending is None or self.put_off:
            return
        # One signal is enough: the orderly shutdown follows.
        for each in self.ALL:
            signal.signal(each, signal.SIG_IGN)
        raise Failed(f"interrupted by {signal.Signals(self.pending).name}")

    @contextlib.contextmanager
    def allowed(self):
        """A part of a section that defers signals in which they are not deferred."""
        self.put_off = False
        self.check()
        try:
            yield
        finally:
            self.put_off = True

    def __enter__(self):
        self.put_off = True

    def __exit__(self, *_):
        self.put_off = False
        self.check()


def amount(size):
    """Formats a number of bytes."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            break
        size /= 1000
    else:
        unit = "TB"
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def duration(nanoseconds):
    """Formats a time."""
    if nanoseconds < 1e6:
        return f"{nanoseconds / 1e3:.1f} us"
    return f"{nanoseconds / 1e6:.2f} ms"


def aligned(rows, left):
    """Rows of texts as a table, whose first columns are aligned to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:left], widths)]
        cells += [cell.rjust(width) for cell, width in zip(row[left:], widths[left:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
