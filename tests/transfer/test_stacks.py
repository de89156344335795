"""Folders of files (TIFF stacks, Zarr stores): one recursive task, every file compared, and nothing missing or strange accepted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from facility_in_a_box import PSCRATCH, SCRATCH, Bench
from hypothesis import given
from hypothesis import strategies as st

from als_assets.errors import CopyMismatch, NoVerifiedSource
from als_assets.facility.places import Place
from als_assets.ledger import Entry, Manifest, ReplicaState
from als_assets.transfer import verify
from als_assets.transfer.globus import GlobusMover
from als_assets.transfer.posix import PosixMover
from als_assets.transfer.tidying import TEMPORARY, leftovers

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
    assert [(rule["method"], rule["name"]) for rule in task["document"]["filter_rules"]] == [("exclude", p) for p in TEMPORARY]
    assert receipt.evidence["files_compared"] == len(SLICES)
    assert bench.replica(scan, SCRATCH, "recon_tiff").manifest.files == len(SLICES)


def test_what_arrived_is_not_listed_again_for_its_times(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing asks once for each folder, of which a volume has hundreds."""
    scan = bench.admit()
    stack = bench.stack(scan, SLICES)
    seen: list[str] = []

    def count_looks_of(mover: type[Any]) -> None:
        files = mover.files

        def counted(self: object, place: Place) -> object:
            seen.append(place.location_name)
            return files(self, place)

        monkeypatch.setattr(mover, "files", counted)

    count_looks_of(GlobusMover)
    count_looks_of(PosixMover)
    _bring(bench, scan, stack.path)

    assert seen.count(SCRATCH) == 2, "by the mover to compare it, by us to hash it"
    manifest = bench.replica(scan, SCRATCH, "recon_tiff").manifest
    assert manifest is not None and all(entry.mtime_s for entry in manifest.entries)


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


# --- what does not belong there ---------------------------------------------------------------------------------------------


def test_a_strangers_file_is_named_and_never_deleted(bench: Bench) -> None:
    scan = bench.admit()
    stack = bench.stack(scan, SLICES)
    notes = bench.box.results / stack.path / "notes of the user.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("precious")

    with pytest.raises(CopyMismatch, match=r"'notes of the user\.txt' does not belong there") as caught:
        _bring(bench, scan, stack.path)

    assert f"move 'notes of the user.txt' out of {notes.parent}" in caught.value.next_step
    assert notes.read_text() == "precious"
    notes.rename(bench.box.results / f"{scan.key} notes")
    assert _bring(bench, scan, stack.path).made  # type: ignore[attr-defined]


def test_leftovers_of_an_earlier_version_and_temporary_files_are_removed_on_record(bench: Bench) -> None:
    scan = bench.admit()
    stack = bench.stack(scan, SLICES)
    _bring(bench, scan, stack.path)
    source = bench.box.root / "nersc/pscratch/sd/a/alsdev/8.3.2/scratch" / stack.path
    (source / "slice_00011.tiff").unlink()  # reconstructed again, with one slice less
    smaller = bench.stack(scan, {name: content for name, content in SLICES.items() if name != "slice_00011.tiff"})
    target = bench.box.results / stack.path
    (target / ".slice_00001.tiff.part").write_bytes(b"half")
    (target / "slice_00002.tiff").write_bytes(b"of the first version, other size")

    receipt = _bring(bench, scan, smaller.path)

    assert receipt.made  # type: ignore[attr-defined]
    assert not (target / "slice_00011.tiff").exists() and not (target / ".slice_00001.tiff.part").exists()
    (tidied,) = [o for o in bench.ledger.operations.of(scan.key) if o.kind == "delete"]
    assert tidied.request["leftovers"] == [".slice_00001.tiff.part", "slice_00011.tiff"]
    (task,) = bench.tasks(scan, "DELETE")
    assert task["document"]["recursive"] is False


def test_a_product_is_never_robbed_of_a_file_by_its_name(bench: Bench) -> None:
    scan = bench.admit()
    stack = bench.stack(scan, {"a.tiff": b"1", "mask.tmp": b"22", "b.part": b"333"})

    _bring(bench, scan, stack.path)

    (task,) = bench.tasks(scan)
    excluded = {rule["name"] for rule in task["document"]["filter_rules"]}
    assert excluded == set(TEMPORARY) - {"*.tmp", "*.part"}


def test_beside_raw_data_nothing_is_ever_deleted(bench: Bench) -> None:
    scan = bench.admit()
    stack = bench.stack(scan, SLICES)
    path = f"{stack.path}-raw"
    raw = bench.ledger.replicas.expect(scan.key, "raw", PSCRATCH, path)
    shutil.copytree(
        bench.raw_file(scan, PSCRATCH).parent / stack.path.split("/")[-1], bench.platform.transfers.place(PSCRATCH, path).site_path
    )
    bench.ledger.replicas.verified(raw.id, stack.manifest, why="made by the test", evidence={})
    stranger = bench.box.results / path / "still.written.part"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("by the detector")
    bench.raw_file(scan, "spot832").unlink()

    with pytest.raises(CopyMismatch, match=r"'still\.written\.part' does not belong there"):
        bench.platform.transfers.ensure_replica(bench.actor(), scan.key, "raw", SCRATCH, path)

    assert stranger.read_text() == "by the detector"
    assert bench.tasks(scan, "DELETE") == []


NAMES = st.sampled_from(["a.tiff", "b.tiff", "c.tmp", ".d.part", "deep/e.partial", "notes.txt"])


@given(st.sets(NAMES), st.sets(NAMES), st.one_of(st.none(), st.sets(NAMES)))
def test_only_what_is_ours_is_a_leftover(found: set[str], wanted: set[str], before: set[str] | None) -> None:
    manifest = Manifest.of(Entry(name, 1) for name in wanted)
    earlier = None if before is None else Manifest.of(Entry(name, 1) for name in before)

    ours = set(leftovers(dict.fromkeys(found, 1), manifest, earlier))

    assert ours <= found - wanted
    assert all(name in (before or set()) or name.endswith((".tmp", ".part", ".partial")) for name in ours)
    assert not ({"notes.txt"} - (before or set())) & ours


# --- more than a thousand files ----------------------------------------------------------------------------------------------


def test_beyond_a_thousand_files_a_seeded_sample_is_looked_at_one_by_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "EVERY_FILE", 5)
    monkeypatch.setattr(verify, "SAMPLE", 4)
    scan = bench.admit()
    stack = bench.stack(scan, SLICES)

    receipt = _bring(bench, scan, stack.path)

    outcome = bench.newest(scan).outcome
    assert (outcome["compared_files"], outcome["folders"], outcome["sampled"]) == (len(SLICES), 2, 4)
    assert receipt.evidence["files_sampled"] == 4  # type: ignore[attr-defined]
    drawn = verify.sample(stack.manifest, outcome["sample_seed"])
    asked = [unquote(str(r["query"])) for r in bench.control.requests(path="*/stat")]
    assert all(any(name in query for query in asked) for name in drawn)


def test_a_listing_that_is_not_true_is_found_by_the_sample(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "EVERY_FILE", 5)
    monkeypatch.setattr(GlobusMover, "size_of", lambda self, place, name: 7)
    scan = bench.admit()
    stack = bench.stack(scan, SLICES)

    with pytest.raises(CopyMismatch, match=r"was listed with .* bytes, but is not so"):
        _bring(bench, scan, stack.path)


FACTS = {"files_transferred": 3, "files_skipped": 0, "bytes_transferred": 30}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"bytes_transferred": 40}, []),  # a damaged file was sent again
        ({"files_transferred": 1, "files_skipped": 2, "bytes_transferred": 10}, []),
        ({"files_transferred": 2}, ["Globus counted 2 file(s) instead of 3"]),
        ({"bytes_transferred": 29}, ["Globus moved 29 bytes instead of 30"]),
        ({"files_transferred": None}, []),  # mounted folders do not count
    ],
)
def test_the_counts_of_the_task_are_held_against_the_manifest(changes: dict[str, object], words: list[str]) -> None:
    manifest = Manifest.of(Entry(f"f{n}", 10) for n in range(3))

    assert verify.task_differences(FACTS | changes, manifest) == words
