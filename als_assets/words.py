"""Numbers as people read them: sizes, durations and rates.

Here: one way to write each, for the UI, the board, the terminal and error sentences alike. Not here: anything that needs a record.
"""

from __future__ import annotations


def size_words(size_bytes: float | None) -> str:
    """12_900_000_000 -> '12.9 GB' (decimal units, as disks and Globus count)."""
    if size_bytes is None:
        return "unknown size"
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size_bytes /= 1000
        if size_bytes < 1000:
            break
    return f"{size_bytes:.1f} {unit}"


def duration_words(seconds: float | None) -> str:
    """754 -> '12 min 34 s'."""
    if seconds is None:
        return "unknown time"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def rate_words(size_bytes: float | None, seconds: float | None) -> str:
    """Bytes in a time as a rate, '416.0 MB/s'."""
    if not size_bytes or not seconds:
        return "unknown rate"
    return f"{size_words(size_bytes / seconds)}/s"
