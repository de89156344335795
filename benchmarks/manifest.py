"""What the truth about 10,000 files costs: seeing them, keeping them, comparing them; and the SHA-256 of a large file.

Here: real files and a real record, each measured against a named baseline in the same run. Not here: assertions (tests count no seconds).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from als_assets.ledger import Entry, Ledger, Manifest
from als_assets.ledger.datasets import NewDataset
from als_assets.transfer.posix import files_under, sha256_of

FILES, ROUNDS, LARGE_BYTES = 10_000, 5, 1 << 30


def best(work: Callable[[], object]) -> float:
    """Seconds of the quickest of some rounds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        rows = manifests(Path(name)) | sums(Path(name))
    width = max(map(len, rows))
    sys.stdout.writelines(f"{name:<{width}}  {value}\n" for name, value in rows.items())


def manifests(folder: Path) -> dict[str, str]:
    stack = folder / "stack"
    stack.mkdir()
    for number in range(FILES):
        (stack / f"slice_{number:05d}.tiff").write_bytes(b"x" * (number % 7))
    found = files_under(stack) or {}
    manifest = Manifest.of(Entry(path, facts.size_bytes, mtime_s=facts.mtime_s) for path, facts in found.items())
    ledger = Ledger.at(folder / "state")
    new = NewDataset("sand", "bl832", "f", "sand.h5", None, 1, datetime.now(UTC), True, "a bench", "spot832", "f/sand.h5")
    ledger.datasets.admit(new)
    row = ledger.replicas.expect("sand", "recon_tiff", "data832_scratch", "rec/sand")
    plain = best(lambda: json.loads(json.dumps([vars(entry) for entry in manifest.entries])))
    seen, stats = best(lambda: files_under(stack)), best(lambda: [entry.stat() for entry in os.scandir(stack)])
    kept = best(lambda: Manifest.unpack(manifest.pack()))
    stored = best(lambda: ledger.replicas.verified(row.id, manifest, why="bench", evidence={}))
    compared = best(lambda: manifest.differences({path: facts.size_bytes for path, facts in found.items()}))
    ledger.close()
    return {
        f"seeing {FILES} files (s)": f"{seen:.3f}, {seen / stats:.1f} times scandir and stat",
        "packing and unpacking their manifest (s)": f"{kept:.3f}, {kept / plain:.1f} times plain JSON there and back",
        "its size on record (kB)": f"{len(manifest.pack()) / 1000:.0f}",
        "putting it on record as proven, with its audit row (s)": f"{stored:.3f}",
        "comparing it with what was found (s)": f"{compared:.3f}",
        "all of it (s)": f"{seen + kept + stored + compared:.3f}",
    }


def sums(folder: Path) -> dict[str, str]:
    """Of a file in the page cache, so that the disk's business is left out."""
    file = folder / "large.h5"
    with file.open("wb") as stream:
        for _ in range(LARGE_BYTES >> 20):
            stream.write(os.urandom(1024) * 1024)

    def baseline() -> None:
        with file.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")

    ours, theirs = best(lambda: sha256_of(file)), best(baseline)
    return {"SHA-256 of 1 GiB, streamed (GB/s)": f"{LARGE_BYTES / ours / 1e9:.2f}, {theirs / ours:.2f} times hashlib.file_digest"}


if __name__ == "__main__":
    main()
