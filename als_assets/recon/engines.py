"""Which engine reconstructs: the choice by name and by what the processor has.

Here: the choice alone. What belongs here is one line for each engine. Not here: what an engine is (``engine.py``) and how one works
(``gridding.py``).
"""

from __future__ import annotations

from als_assets.recon.engine import Engine

_VECTOR_UNITS = ("avx512f", "avx2", "neon")


def choose_engine(name: str = "auto", most_lanes: int = 16) -> Engine:
    """``vector`` or ``plain`` by name; ``auto`` is vector where the processor has wide registers, else plain.

    Vector takes as many slices at once as a register holds, but not more than ``most_lanes``; plain is the portable form that vector
    is checked against.
    """
    from als_assets.recon.gridding import GriddingEngine

    vector = name == "vector" or (name == "auto" and any(_features().get(unit, False) for unit in _VECTOR_UNITS))
    return GriddingEngine(lanes=min(lanes(), most_lanes), vector=vector)


def lanes() -> int:
    """Slices reconstructed at once: 16 where there is AVX-512, else 8 (AVX2, and two registers of anything smaller)."""
    return 16 if _features().get("avx512f", False) else 8


def _features() -> dict[str, bool]:
    """What the processor can do, by LLVM's names."""
    from llvmlite import binding  # type: ignore[import-untyped]

    return dict(binding.get_host_cpu_features())
