"""Folders of files (TIFF stacks, Zarr stores): one recursive task, every file compared, and nothing missing or strange accepted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from facility_in_a_box import PSCRATCH, SCRATCH, Bench

from als_assets.errors import CopyMismatch, NoVerifiedSource
from als_assets.ledger import ReplicaState

SLICES = {f"slice_{n:05d}.tiff": bytes([n]) * (500 + n) for n in range(12)} | {"parameters.json": b"{}", "deep/er/note.txt": b"hello"}


def _bring(bench: Bench, scan: object, path: str) -> object:
    return bench.platform.transfers.ensure_replica(bench.actor(), scan.key, "recon_tiff", SCRATCH, path)  # type: ignore[attr-defined]


def test_a_stack_travels_as_one_recursive_item_and_every_file_is_compared(bench: Bench) -> None:
    scan = bench.admit()
    stack = bench.stack(scan, SLICES)

    receipt = _bring(bench, scan, stack.path)

    target = bench.box.results / stack.path
    assert {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()} == SLICES
    (task,) = bench.tasks(scan)
    assert [item.get("recursive") for item in task["document"]["DATA"]] == [True]
    assert [(rule["method"], rule["name"]) for rule in task["document"]["filter_rules"]] == [("exclude", "*.partial")]
    assert receipt.evidence["files_compared"] == len(SLICES)
    assert bench.replica(scan, SCRATCH, "recon_tiff").manifest.files == len(SLICES)


def test_a_stack_with_a_stranger_in_it_is_no_source(bench: Bench) -> None:
    scan = bench.admit()
    stack = bench.stack(scan, SLICES)
    (bench.box.root / "nersc/pscratch/sd/a/alsdev/8.3.2/scratch" / stack.path / "slice_00099.tiff.partial").write_bytes(b"?")

    with pytest.raises(NoVerifiedSource):
        _bring(bench, scan, stack.path)

    assert bench.state(scan, PSCRATCH, "recon_tiff") is ReplicaState.SUSPECT
    assert bench.tasks(scan) == []


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (lambda folder: (folder / "slice_00003.tiff").unlink(), "'slice_00003.tiff' is missing"),
        (lambda folder: (folder / "stranger.txt").write_text("?"), "'stranger.txt' does not belong there"),
        (lambda folder: (folder / "deep/er/note.txt").write_text("hell"), "'deep/er/note.txt' has 4 bytes instead of 5"),
    ],
    ids=["missing", "extra", "wrong size"],
)
def test_a_stack_that_is_not_what_was_sent_is_refused(
    bench: Bench, meddle: Callable[[Callable[[], object]], None], deed: Callable[[Path], object], words: str
) -> None:
    scan = bench.admit()
    stack = bench.stack(scan, SLICES)
    meddle(lambda: deed(bench.box.results / stack.path))

    with pytest.raises(CopyMismatch, match=words):
        _bring(bench, scan, stack.path)

    assert bench.state(scan, SCRATCH, "recon_tiff") is ReplicaState.EXPECTED


def test_the_location_of_the_stack_is_where_jobs_write(bench: Bench) -> None:
    """The listing of a folder that this machine does not see goes over Globus, folder by folder."""
    scan = bench.admit()
    stack = bench.stack(scan, {"a/b/c.tiff": b"123", "top.tiff": b"1"}, PSCRATCH)

    assert bench.platform.transfers.listing(stack) == {"a/b/c.tiff": 3, "top.tiff": 1}
