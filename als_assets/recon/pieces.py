"""How something long is cut into pieces that are worked on one after the other.

Here: whole numbers alone. Not here: how long a piece should be, which depends on the work.
"""

from __future__ import annotations


def spans(length: int, step: int) -> list[slice]:
    """``length`` cut into pieces of ``step``; the last one is what is left."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]
