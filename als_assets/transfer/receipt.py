"""What is kept of a copy that was made: which task, from where, and how its bytes were proven.

Here: the receipt, and its evidence in words. Not here: making the copy (``ensure``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from als_assets.ledger import Operation, Replica
from als_assets.words import duration_words, rate_words, size_words


@dataclass(frozen=True)
class Receipt:
    """Proof that a copy exists. ``made`` is False when it was there already and was looked at again. ``seconds`` is the whole time
    since the task was accepted; ``metrics`` are bytes, seconds without the queue, bytes_per_s, queued_s and faults."""

    replica: Replica
    made: bool
    evidence: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    link: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)


def evidence_of(operation: Operation) -> dict[str, Any]:
    """What the record says about a copy, of the operation that made it."""
    outcome = operation.outcome
    task, metrics = outcome.get("task", {}), outcome.get("metrics", {})
    return {
        "copied_from": operation.request["from"]["location"],
        "task": task.get("task_id"),
        "link": outcome.get("link", ""),
        "checksum": _checksum_words(operation),
        "files_compared": outcome.get("compared_files"),
        "files_sampled": outcome.get("sampled"),
        "moved": _metric_words(metrics),
        "waited_in_queue": None if metrics.get("queued_s") is None else duration_words(metrics["queued_s"]),
        "faults": task.get("faults"),
    }


def _metric_words(metrics: Mapping[str, Any]) -> str | None:
    if not metrics:
        return None
    return f"{size_words(metrics['bytes'])} in {duration_words(metrics['seconds'])} ({rate_words(metrics['bytes_per_s'], 1)})"


def _checksum_words(operation: Operation) -> str:
    by_mover, outcome = "mover compared checksums of both sides", operation.outcome
    if operation.request.get("sha256"):
        return f"{by_mover}, and the destination against the known SHA-256"
    if outcome.get("sha256_of_files"):
        return f"{by_mover}; SHA-256 of every file taken at the destination"
    return f"{by_mover}; SHA-256 taken at the destination" if outcome.get("sha256") else by_mover
