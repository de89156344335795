"""Which engine reconstructs: the choice by name and by what the processor has.

Here: the choice alone. What belongs here is one line for each engine. Not here: what an engine is (``engine.py``) and how one works
(``gridding.py``).
"""

from __future__ import annotations

from als_assets.recon.engine import Engine


def choose_engine(name: str = "auto") -> Engine:
    """``vector`` or ``plain`` by name; ``auto`` is vector, with as many slices at once as a register of this processor holds.

    LLVM lowers vectors to what there is, so vector runs everywhere; plain is the portable form it is checked against.
    """
    from als_assets.recon.gridding import GriddingEngine

    return GriddingEngine(lanes=lanes(), vector=name != "plain")


def lanes() -> int:
    """Slices reconstructed at once: 16 where there is AVX-512, else 8 (AVX2, and two registers of anything smaller)."""
    from llvmlite import binding  # type: ignore[import-untyped]

    return 16 if binding.get_host_cpu_features().get("avx512f", False) else 8
