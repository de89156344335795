"""Numbers as people read them: sizes, durations and rates.

Here: one way to write each, for the UI, the board, the terminal and error sentences alike. Not here: anything that needs a record.
"""

from __future__ import annotations

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def size_words(size_bytes: float | None) -> str:
    """12_900_000_000 -> '12.9 GB' (decimal units, as disks and Globus count)."""
    if size_bytes is None:
        return "unknown size"
    if round(size_bytes) < 1000:
        return f"{size_bytes:.0f} B"
    power = 1
    while power < len(_UNITS) and round(size_bytes / 1000**power, 1) >= 1000:  # rounded: 999_999 bytes are 1.0 MB, not 1000.0 kB
        power += 1
    return f"{size_bytes / 1000**power:.1f} {_UNITS[power - 1]}"


def duration_words(seconds: float | None) -> str:
    """754 -> '12 min 34 s'."""
    if seconds is None:
        return "unknown time"
    if round(seconds, 1) < 60:
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
