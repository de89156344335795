"""How long a job may take: asked for by the size of the scan, with a rate that is learnt from jobs that ended.

Here: one pure function. Not here: reading the record (``history``) and a scheduler's limits (the facility file). Too little time
loses a whole reconstruction and too much waits longer in the queue, so a margin is kept and the ends are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Start of the node, image and stage-in: what a job of any size needs.
BASE_S = 120.0
MARGIN = 1.5
# Fewer jobs than this teach nothing.
ENOUGH = 3
# A job that ran into its limit would have taken longer, nobody knows how much.
CUT_OFF = 1.5
_QUANTILE = 0.9
_ROUND_S = 60


@dataclass(frozen=True)
class Past:
    """A job that ended: the bytes of its scan, the seconds it ran, and whether its time limit ended it."""

    size_bytes: int
    used_s: float
    cut_off: bool = False


def walltime_s(size_bytes: int, history: Sequence[Past], *, standard_s: int, most_s: int) -> int:
    """Seconds to ask for: whole minutes, at least two, at most ``most_s``. Without enough history it is ``standard_s``."""
    rates = sorted(_rate(past) for past in history if past.size_bytes > 0 and past.used_s > 0)
    if len(rates) < ENOUGH or size_bytes <= 0:
        return min(standard_s, most_s)
    rate = rates[min(len(rates) - 1, math.ceil(_QUANTILE * len(rates)) - 1)]
    wanted = BASE_S + MARGIN * rate * size_bytes
    return min(most_s, max(2 * _ROUND_S, math.ceil(wanted / _ROUND_S) * _ROUND_S))


def _rate(past: Past) -> float:
    """Seconds a byte."""
    return past.used_s * (CUT_OFF if past.cut_off else 1.0) / past.size_bytes
