"""Staged directories: complete or absent, resumed when the same, exchanged in one step, one writer at a time.

Here: promises of output.py on a real file system. What belongs here is names and moments. Not here: contents.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.recon import output
from als_assets.recon.errors import BadName, DiskFull, OutputBusy, OutputNotWritable
from als_assets.recon.output import Staged, checked_name, write_atomically


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_nothing_appears_before_it_is_published(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "recx"
    with Staged(target, {"a": 1}) as staged:
        write_atomically(staged.path / "one", b"1")
        assert not target.exists()
        assert staged.path.parent == target.parent
        staged.publish()
    assert names(target) == ["one"]
    assert names(target.parent) == ["recx"]


def test_a_finished_directory_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "recx"
    for content in ("old", "new"):
        with Staged(target, {"content": content}) as staged:
            assert not staged.resumed
            write_atomically(staged.path / content, b"")
            staged.publish()
    assert names(target) == ["new"]
    assert names(tmp_path) == ["recx"]


def test_replacing_works_where_names_cannot_be_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_exchange", lambda first, second: False)
    test_a_finished_directory_is_replaced_as_a_whole(tmp_path)


def test_what_was_done_is_kept_for_the_same_work_only(tmp_path: Path) -> None:
    target = tmp_path / "recx"
    with Staged(target, {"center": 1.5}) as staged:
        write_atomically(staged.path / "slice", b"s")
    with Staged(target, {"center": 1.5}) as staged:
        assert staged.resumed
        assert (staged.path / "slice").read_bytes() == b"s"
    with Staged(target, {"center": 2.5}) as staged:
        assert not staged.resumed
        assert not (staged.path / "slice").exists()


def test_a_state_file_that_is_no_json_starts_again(tmp_path: Path) -> None:
    target = tmp_path / "recx"
    with Staged(target, {}) as staged:
        (staged.path / ".state.json").write_text("{", encoding="ascii")
        (staged.path / "folder").mkdir()
    with Staged(target, {}) as staged:
        assert not staged.resumed
        assert not (staged.path / "folder").exists()


def test_two_writers_of_one_output_are_refused(tmp_path: Path) -> None:
    with Staged(tmp_path / "recx", {}), pytest.raises(OutputBusy, match="recx"), Staged(tmp_path / "recx", {}):
        pass
    with Staged(tmp_path / "recx", {}) as staged:
        assert staged.resumed


def test_too_little_space_is_told_before_the_work(tmp_path: Path) -> None:
    with Staged(tmp_path / "recx", {}) as staged:
        staged.require_space(1)
        with pytest.raises(DiskFull, match=r"needs 1000000\.0 GB"):
            staged.require_space(10**15)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputNotWritable, match="file"), Staged(tmp_path / "file" / "recx", {}):
        pass


def test_a_failing_writer_leaves_no_file_under_the_name(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "slice", fail)
    assert not (tmp_path / "slice").exists()


def test_names_at_the_limit_of_the_file_system_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_atomically(path, b"1")
    assert path.read_bytes() == b"1"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "a\0b", "line\nbreak", "x" * 300, "é" * 130])
def test_names_that_cannot_be_files_are_refused(name: str) -> None:
    with pytest.raises(BadName) as caught:
        checked_name(name)
    assert "--name" in caught.value.next_step


@pytest.mark.parametrize("name", ["a b", "it's", '"', ";rm", "$(x)", "ü|,", "..x", "-rf", "20240101_scan"])
def test_unusual_names_are_accepted(name: str) -> None:
    assert checked_name(name) == name


@given(st.text(max_size=300))
def test_an_accepted_name_fits_into_one_directory_entry(name: str) -> None:
    try:
        accepted = checked_name(name)
    except (BadName, UnicodeEncodeError):
        return
    assert len(os.fsencode(f".rec{accepted}.zarr.partial")) <= 255
    assert "/" not in accepted
