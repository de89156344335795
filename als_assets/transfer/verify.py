"""Whether what lies at a place is what should lie there: counts and bytes of the task, every file's name and size, and a sample.

Here: comparisons, with the numbers that a receipt keeps. Not here: checksums (the movers compare those on the way, ``proving`` later),
and what follows from a difference.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from als_assets.facility.places import Place
from als_assets.ledger import Manifest
from als_assets.transfer.mover import FileFacts, Mover, sizes

# Up to so many files the listing is enough; beyond, a sample is asked for one by one, because one listing may be old or cut off.
EVERY_FILE = 1000
SAMPLE = 100


@dataclass(frozen=True)
class Comparison:
    """``wrong`` is empty when everything is as it should be; ``extra`` are files that do not belong there, ``seen`` all that do or not."""

    wrong: list[str]
    extra: list[str]
    evidence: dict[str, Any]
    seen: Mapping[str, FileFacts] = field(default_factory=dict)


def compare(mover: Mover, place: Place, manifest: Manifest, seed: str) -> Comparison:
    """Every file by name and size; beyond 1,000 files also a sample of 100, drawn by ``seed``, each looked at by itself."""
    seen = mover.files(place)
    found = sizes(seen)
    if seen is None or found is None:
        return Comparison(["nothing is there"], [], {"compared_files": 0})
    wanted = {entry.path: entry.size_bytes for entry in manifest.entries}
    wrong = manifest.differences(found)
    evidence: dict[str, Any] = {
        "compared_files": len(found),
        "compared_bytes": sum(found.values()),
        "folders": len(folder_totals(found)),
    }
    if not wrong and manifest.files > EVERY_FILE:
        drawn = sample(manifest, seed)
        wrong = [
            f"'{name}' was listed with {wanted[name]} bytes, but is not so" for name in drawn if mover.size_of(place, name) != wanted[name]
        ]
        evidence |= {"sampled": len(drawn), "sample_seed": seed}
    return Comparison(wrong, sorted(found.keys() - wanted.keys()), evidence, seen)


def sample(manifest: Manifest, seed: str) -> list[str]:
    """The same names for the same seed, so that the look can be repeated."""
    return sorted(random.Random(seed).sample([entry.path for entry in manifest.entries], min(SAMPLE, manifest.files)))


def folder_totals(files: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Folder -> number of files and their bytes."""
    totals: dict[str, tuple[int, int]] = {}
    for name, size_bytes in files.items():
        folder = str(PurePosixPath(name).parent)
        count, total = totals.get(folder, (0, 0))
        totals[folder] = count + 1, total + size_bytes
    return totals


def task_differences(facts: Mapping[str, Any], manifest: Manifest) -> list[str]:
    """What the task's own counts say against the manifest; nothing where it does not count (mounted folders)."""
    moved, kept = facts.get("files_transferred"), facts.get("files_skipped")
    if moved is None or kept is None:
        return []
    wrong = [] if moved + kept == manifest.files else [f"Globus counted {moved + kept} file(s) instead of {manifest.files}"]
    sent = int(facts.get("bytes_transferred") or 0)
    if kept == 0 and sent < manifest.size_bytes:  # more is possible: what was damaged on the way is sent again
        wrong.append(f"Globus moved {sent} bytes instead of {manifest.size_bytes}")
    return wrong
