"""Reconciling: dark files, lost and changed copies, scans never registered; proposed, never repaired.

Here: real folders against a record. Not here: how Dagster shows it (``tests/defs``).
"""

from __future__ import annotations

import os
import time

import pytest
from retention_kit import Store

from als_assets.errors import ConfigError, ServiceUnreachable
from als_assets.ledger import ReplicaState
from als_assets.retention.reconcile import Finding, Kind, Report, reconcile

S = ReplicaState


@pytest.fixture
def known(store: Store) -> Store:
    """A scan at the detector and at NERSC, and a stack of slices."""
    store.scan()
    store.copy("far_raw")
    store.stack("data_scratch")
    return store


def look(store: Store, *only: str) -> Report:
    return reconcile(store.facility, store.ledger, store.transfers, "bl832", only)


def found(store: Store, *only: str) -> list[tuple[Kind, str, str]]:
    return [(f.kind, f.location, f.path) for f in look(store, *only).findings]


def test_nothing_to_say_when_all_fits(known: Store) -> None:
    report = look(known)
    assert report.findings == [] and report.unseen == {}
    assert (report.copies, report.files) == (3, 5)


def test_a_lost_copy(known: Store) -> None:
    raw = known.ledger.replicas.of("sand", location="far_raw")[0]
    known.where(raw).unlink()
    (finding,) = look(known).findings
    assert (finding.kind, finding.dataset_key, finding.location) == (Kind.LOST, "sand", "far_raw")
    assert "raw of sand at far_raw is on record as verified, but nothing is there" in finding.words
    assert finding.command == "als scan show sand"
    assert known.state(raw) is S.VERIFIED, "proposed, not repaired"


def test_a_stack_with_a_slice_too_few_and_one_too_many(known: Store) -> None:
    stack = known.ledger.replicas.of("sand", product="recon_tiff")[0]
    (known.where(stack) / "00001.tiff").unlink()
    (known.where(stack) / "notes.txt").write_text("mine")
    (finding,) = look(known).findings
    assert finding.kind is Kind.CHANGED and "'00001.tiff' is missing" in finding.words and "'notes.txt' does not belong" in finding.words


@pytest.mark.parametrize("state", [s for s in S if s not in (S.VERIFIED, S.DELETED, S.LOST)])
def test_what_is_not_called_verified_is_neither_lost_nor_dark(known: Store, state: ReplicaState) -> None:
    row = known.ledger.replicas.expect("sand", "recon_zarr", "far_scratch", "recsand.zarr")
    if state is not S.EXPECTED:
        for step in {S.COPYING: [S.COPYING], S.SUSPECT: [S.VERIFIED, S.SUSPECT], S.DELETING: [S.VERIFIED, S.DELETING]}[state]:
            known.ledger.replicas.move(row.id, step, why="a test")
    folder = known.path("far_scratch", "recsand.zarr")
    folder.mkdir()
    (folder / "zarr.json").write_text("{}")
    assert found(known) == []


class TestDark:
    def test_a_file_beside_and_a_folder_of_a_stranger(self, known: Store) -> None:
        known.path("far_raw", "dla-00847_doe/other.h5").write_bytes(b"x" * 2000)
        stranger = known.path("data_scratch", "stranger/deep")
        stranger.mkdir(parents=True)
        (stranger / "file").write_bytes(b"")
        findings = look(known).findings
        assert [(f.kind, f.location, f.path, f.size_bytes, f.dataset_key) for f in findings] == [
            (Kind.DARK, "data_scratch", "stranger/deep/file", 0, None),
            (Kind.DARK, "far_raw", "dla-00847_doe/other.h5", 2000, None),
        ]
        assert "(2.0 kB) is not on record, so nothing will ever delete it" in findings[1].words
        assert stranger.exists()

    def test_what_was_deleted_on_record_and_is_there_is_dark(self, known: Store) -> None:
        raw = known.ledger.replicas.of("sand", location="far_raw")[0]
        known.ledger.replicas.move(raw.id, S.DELETING, why="x")
        known.ledger.replicas.move(raw.id, S.DELETED, why="x")
        assert found(known) == [(Kind.DARK, "far_raw", raw.path)]

    def test_a_name_that_only_begins_alike_is_dark(self, known: Store) -> None:
        known.path("data_scratch", "recsand2").mkdir()
        known.path("data_scratch", "recsand2/0.tiff").write_bytes(b"x")
        assert found(known) == [(Kind.DARK, "data_scratch", "recsand2/0.tiff")]


class TestNeverRegistered:
    def file(self, store: Store, name: str = "dla-00847_doe/forgotten.h5", hours: float = 2) -> None:
        path = store.path("spot", name)
        path.write_bytes(b"scan")
        os.utime(path, (time.time() - hours * 3600,) * 2)

    def test_a_scan_that_nobody_noticed(self, known: Store) -> None:
        self.file(known)
        (finding,) = look(known).findings
        assert finding.kind is Kind.UNREGISTERED and finding.command == "als scan announce dla-00847_doe/forgotten.h5"
        assert "the new-file sensor has not seen it" in finding.words

    def test_one_that_just_arrived_is_not_meant(self, known: Store) -> None:
        self.file(known, hours=0.5)
        assert found(known) == []

    def test_one_that_the_sensor_has_seen_or_refused_is_not_meant(self, known: Store) -> None:
        self.file(known)
        known.ledger.sightings.see("bl832", "dla-00847_doe/forgotten.h5", 4, 1)
        assert found(known) == []

    def test_files_that_are_no_scans_are_not_meant(self, known: Store) -> None:
        self.file(known, "dla-00847_doe/notes.txt")
        assert found(known) == []


def test_a_location_that_cannot_be_looked_at_is_named_and_the_others_are_compared(known: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = known.transfers.listing

    def down(copy: object) -> dict[str, int] | None:
        if copy.location == "far_raw":  # type: ignore[attr-defined]
            raise ServiceUnreachable("NERSC is down.", next_step="Wait.")
        return listing(copy)  # type: ignore[arg-type]

    monkeypatch.setattr(known.transfers, "listing", down)
    known.path("data_scratch", "dark").write_bytes(b"x")
    report = look(known)
    assert report.unseen == {"far_raw": "NERSC is down."}
    assert [(f.kind, f.path) for f in report.findings] == [(Kind.DARK, "dark")]


def test_only_the_named_location_and_only_known_names(known: Store) -> None:
    known.path("data_scratch", "dark").write_bytes(b"x")
    assert found(known, "far_raw") == [] and [f[2] for f in found(known, "data_scratch")] == ["dark"]
    with pytest.raises(ConfigError, match="'nowhere' is not in the facility file"):
        look(known, "nowhere")


def test_a_finding_is_a_plain_value() -> None:
    assert Finding(Kind.DARK, "a", "b", "c", "d").dataset_key is None
