"""The mover for mounted folders: real files, copied, damaged, linked elsewhere and deleted."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.errors import DeleteFailed, ExportRefused, LocationAway, PathOutsideLocation, TransferDamaged, TransferFailed
from als_assets.facility import Location, Place
from als_assets.facility.policy import ExportGate, Release
from als_assets.transfer import TaskState, posix
from als_assets.transfer.mover import DeleteRequest, FileFacts, TransferRequest, sizes
from als_assets.transfer.posix import PosixMover, files_under, sha256_of


class _Sites:
    """As much of a facility as the gate asks for."""

    def __init__(self) -> None:
        self.sites: dict[str, Any] = {}


@pytest.fixture
def mover() -> PosixMover:
    return PosixMover(ExportGate(_Sites(), lambda key: Release(key != "secret", "says the test")))  # type: ignore[arg-type]


@pytest.fixture
def disks(tmp_path: Path) -> dict[str, Location]:
    names = ("here", "there")
    for name in names:
        (tmp_path / name).mkdir()
    return {
        name: Location.model_validate({"site": name, "mover": "posix", "root": str(tmp_path / name), "mounted": True, "class": "staging"})
        for name in names
    }


def request(disks: dict[str, Location], path: str, *, is_directory: bool = False, key: str = "scan") -> TransferRequest:
    return TransferRequest(key, Place("here", disks["here"], path), Place("there", disks["there"], path), is_directory, "x")


def wipe(disks: dict[str, Location], path: str, *, is_directory: bool = False) -> DeleteRequest:
    return DeleteRequest("scan", Place("there", disks["there"], path), is_directory, "x")


def test_a_file_arrives_with_its_bytes_and_its_time(mover: PosixMover, disks: dict[str, Location], tmp_path: Path) -> None:
    source = tmp_path / "here" / "deep" / "a.h5"
    source.parent.mkdir()
    source.write_bytes(os.urandom(5_000_000))  # more than one block
    os.utime(source, (1_000_000_000, 1_000_000_000))

    handle = mover.start_transfer(request(disks, "deep/a.h5"), mover.prepare())

    target = tmp_path / "there" / "deep" / "a.h5"
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_mtime == 1_000_000_000
    assert mover.look(handle).state is TaskState.SUCCEEDED
    assert mover.look(handle).facts == {"bytes_transferred": 5_000_000}
    assert mover.listing(Place("there", disks["there"], "deep/a.h5")) == {"": 5_000_000}
    assert mover.listing(Place("there", disks["there"], "deep")) == {"a.h5": 5_000_000}
    assert mover.listing(Place("there", disks["there"], "deep/b.h5")) is None


def test_a_folder_arrives_whole_and_replaces_what_was_there(mover: PosixMover, disks: dict[str, Location], tmp_path: Path) -> None:
    for name in ("rec/a.tiff", "rec/deep/b.tiff"):
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_text(name)
    (tmp_path / "there" / "rec").mkdir()
    (tmp_path / "there" / "rec" / "old.tiff").write_text("of an earlier try")

    mover.start_transfer(request(disks, "rec", is_directory=True), {})

    assert sizes(files_under(tmp_path / "there" / "rec")) == {"a.tiff": 10, "deep/b.tiff": 15}
    assert list((tmp_path / "there").iterdir()) == [tmp_path / "there" / "rec"]


def test_a_copy_that_reads_back_differently_is_damaged(
    mover: PosixMover, disks: dict[str, Location], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "a.h5").write_bytes(b"good bytes")
    monkeypatch.setattr(posix.os, "fsync", lambda _: (tmp_path / "there" / "a.h5.partial").write_bytes(b"bad bytes!"))

    with pytest.raises(TransferDamaged, match="read back differently"):
        mover.start_transfer(request(disks, "a.h5"), {})

    assert list((tmp_path / "there").iterdir()) == []


def test_what_a_killed_process_left_does_not_count_and_does_not_disturb(
    mover: PosixMover, disks: dict[str, Location], tmp_path: Path
) -> None:
    (tmp_path / "here" / "a.h5").write_bytes(b"all of it")
    (tmp_path / "there" / "a.h5.partial").write_bytes(b"all o")
    assert mover.listing(Place("there", disks["there"], "a.h5")) is None

    mover.start_transfer(request(disks, "a.h5"), {})

    assert [(p.name, p.read_bytes()) for p in (tmp_path / "there").iterdir()] == [("a.h5", b"all of it")]


def test_a_full_or_broken_disk_is_told_in_the_systems_words(mover: PosixMover, disks: dict[str, Location], tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match=r"Copying .*a\.h5 failed: No such file or directory"):
        mover.start_transfer(request(disks, "a.h5"), {})

    (tmp_path / "here" / "sub").mkdir()
    (tmp_path / "here" / "sub" / "a.h5").write_text("x")
    (tmp_path / "there" / "sub").write_text("a file where a folder must be")
    with pytest.raises(TransferFailed, match=r"failed: File exists") as caught:
        mover.start_transfer(request(disks, "sub/a.h5"), {})
    assert "free space and rights" in caught.value.next_step


def test_no_space_left_is_a_failed_transfer(
    mover: PosixMover, disks: dict[str, Location], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "a.h5").write_text("x")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(posix.os, "fsync", full)
    with pytest.raises(TransferFailed, match="No space left on device"):
        mover.start_transfer(request(disks, "a.h5"), {})
    assert not (tmp_path / "there" / "a.h5").exists()


def test_links_that_lead_out_of_the_location_are_refused(mover: PosixMover, disks: dict[str, Location], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.h5").write_text("private")
    (tmp_path / "here" / "link").symlink_to(outside)
    (tmp_path / "here" / "a.h5").symlink_to(outside / "a.h5")
    (tmp_path / "there" / "link").symlink_to(outside)

    with pytest.raises(PathOutsideLocation, match="leads out of the location here through a link"):
        mover.start_transfer(request(disks, "link/a.h5"), {})
    with pytest.raises(TransferFailed, match="neither a plain file nor a folder"):
        mover.start_transfer(request(disks, "a.h5"), {})
    with pytest.raises(PathOutsideLocation):
        mover.start_delete(wipe(disks, "link/a.h5"), {})
    with pytest.raises(PathOutsideLocation):
        mover.listing(Place("here", disks["here"], "link/a.h5"))

    assert (outside / "a.h5").read_text() == "private"
    assert not (tmp_path / "there" / "a.h5").exists()


def test_a_folder_with_a_link_or_a_pipe_in_it_is_refused(mover: PosixMover, disks: dict[str, Location], tmp_path: Path) -> None:
    for name in ("linked", "piped"):
        (tmp_path / "here" / name).mkdir()
    (tmp_path / "here" / "linked" / "x").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "here" / "piped" / "x")

    for name in ("linked", "piped"):
        with pytest.raises(TransferFailed, match="neither a plain file nor a folder"):
            mover.start_transfer(request(disks, name, is_directory=True), {})


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", ".", "a\nb"])
def test_paths_out_of_the_location_are_refused(mover: PosixMover, disks: dict[str, Location], path: str) -> None:
    with pytest.raises(PathOutsideLocation):
        mover.listing(Place("here", disks["here"], path))
    with pytest.raises(PathOutsideLocation):
        mover.start_delete(wipe(disks, path), {})


def test_a_flagged_scan_goes_nowhere(mover: PosixMover, disks: dict[str, Location], tmp_path: Path) -> None:
    (tmp_path / "here" / "a.h5").write_text("x")

    with pytest.raises(ExportRefused, match="says the test"):
        mover.start_transfer(request(disks, "a.h5", key="secret"), {})

    assert list((tmp_path / "there").iterdir()) == []


def test_deleting_takes_the_file_or_the_folder_and_nothing_else(mover: PosixMover, disks: dict[str, Location], tmp_path: Path) -> None:
    there = tmp_path / "there"
    (there / "rec" / "deep").mkdir(parents=True)
    (there / "rec" / "deep" / "a.tiff").write_text("x")
    (there / "a.h5").write_text("x")
    (there / "b.h5").write_text("x")

    mover.start_delete(wipe(disks, "a.h5"), {})
    handle = mover.start_delete(wipe(disks, "rec", is_directory=True), {})

    assert [p.name for p in there.iterdir()] == ["b.h5"]
    assert mover.look(handle).state is TaskState.SUCCEEDED
    mover.cancel(handle)


def test_a_folder_in_place_of_a_file_is_neither_deleted_nor_overwritten(
    mover: PosixMover, disks: dict[str, Location], tmp_path: Path
) -> None:
    (tmp_path / "here" / "a.h5").write_text("x")
    precious = tmp_path / "there" / "a.h5" / "precious"
    precious.parent.mkdir()
    precious.write_text("work of years")

    with pytest.raises(DeleteFailed, match="a folder is where a file was expected"):
        mover.start_delete(wipe(disks, "a.h5"), {})
    with pytest.raises(TransferFailed, match="a folder is where a file was expected"):
        mover.start_transfer(request(disks, "a.h5"), {})

    assert precious.read_text() == "work of years"


def test_a_deletion_that_is_denied_is_told(
    mover: PosixMover, disks: dict[str, Location], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "there" / "a.h5").touch()
    monkeypatch.setattr(Path, "unlink", denied)
    with pytest.raises(DeleteFailed, match=r"Deleting .*a\.h5 failed: Permission denied"):
        mover.start_delete(wipe(disks, "a.h5"), {})


@given(content=st.binary(max_size=4000))
def test_the_checksum_is_that_of_the_standard_library(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("sum") / "file"
    file.write_bytes(content)
    beats: list[int] = []

    assert sha256_of(file, beats.append) == hashlib.sha256(content).hexdigest()
    assert beats == ([len(content)] if content else [])


def test_files_are_told_with_their_times(mover: PosixMover, disks: dict[str, Location], tmp_path: Path) -> None:
    file = tmp_path / "there" / "a.h5"
    file.write_text("abc")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    place = Place("there", disks["there"], "a.h5")
    assert mover.files(place) == {"": FileFacts(3, 1_000_000_000)} and mover.listing(place) == {"": 3}


@pytest.mark.parametrize("disk", ["empty", "no folder at all"])
def test_on_a_disk_that_is_not_mounted_nothing_is_deleted_by_not_being_there(
    mover: PosixMover, disks: dict[str, Location], tmp_path: Path, disk: str
) -> None:
    """An empty mount point looks like a disk from which somebody has deleted everything."""
    if disk != "empty":
        (tmp_path / "there").rmdir()
    assert mover.is_away(Place("there", disks["there"], "a.h5"))
    with pytest.raises(LocationAway, match="cannot be looked at: its root is missing or empty"):
        mover.start_delete(wipe(disks, "a.h5"), {})
    (tmp_path / "there").mkdir(exist_ok=True)
    (tmp_path / "there" / "another.h5").touch()
    assert not mover.is_away(Place("there", disks["there"], "a.h5"))
    mover.start_delete(wipe(disks, "a.h5"), {})
