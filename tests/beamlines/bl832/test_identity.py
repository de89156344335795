"""Names of scans at 8.3.2. Here: paths below the raw root, also hostile ones. Not here: files."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.beamlines.base import Beamline
from als_assets.beamlines.bl832 import BL832, Bl832
from als_assets.beamlines.keys import KEY_PATTERN
from als_assets.errors import PathOutsideLocation


def test_the_usual_folder_gives_prefix_proposal_and_user() -> None:
    path = PurePosixPath("dabramov-00847_dabramov/20240101_120000_sand_x10.h5")
    identity = BL832.identify(path)
    assert identity.key == identity.stem == "20240101_120000_sand_x10"
    assert identity.file_name == "20240101_120000_sand_x10.h5"
    assert identity.folder == "dabramov-00847_dabramov"
    assert identity.relative_path == path
    assert (identity.prefix, identity.proposal_number, identity.user) == ("dabramov", "00847", "dabramov")
    assert identity.warnings == ()


def test_a_folder_may_hold_spaces_dashes_and_underscores_in_names() -> None:
    identity = BL832.identify(PurePosixPath("van-der Berg-00001_a_b-c/x.h5"))
    assert (identity.prefix, identity.proposal_number, identity.user) == ("van-der Berg", "00001", "a_b-c")


@pytest.mark.parametrize("folder", ["calibration", "a-1234_b", "a-123456_b", "-12345_b", "a-12345_", "a-١٢٣٤٥_b", "x/a-12345_b"])
def test_another_folder_is_accepted_with_a_warning(folder: str) -> None:
    identity = BL832.identify(PurePosixPath(folder) / "x.h5")
    assert identity.folder == folder
    assert (identity.prefix, identity.proposal_number, identity.user) == (None, None, None)
    assert len(identity.warnings) == 1
    assert repr(folder) in identity.warnings[0]


def test_a_file_in_the_root_itself() -> None:
    identity = BL832.identify(PurePosixPath("x.h5"))
    assert identity.folder == ""
    assert "root" in identity.warnings[0]


@pytest.mark.parametrize("path", ["/global/raw/a/x.h5", "../x.h5", "a/../../x.h5", "a/../x.h5", "..", ".", "a/x\0.h5"])
def test_paths_that_leave_the_root_are_refused(path: str) -> None:
    with pytest.raises(PathOutsideLocation, match="refused because"):
        BL832.identify(PurePosixPath(path))


def test_a_nameless_file_is_no_candidate() -> None:
    assert not BL832.is_candidate(PurePosixPath("a/.h5"))
    with pytest.raises(PathOutsideLocation, match="names no file"):
        BL832.identify(PurePosixPath(""))


@pytest.mark.parametrize(
    ("path", "candidate"),
    [
        ("a/x.h5", True),
        ("a/x y;$(z).h5", True),
        ("a/x.h5.tmp", False),
        ("a/x.tmp", False),
        ("a/x.h5.partial", False),
        ("a/.x.h5", False),
        ("a/.x.h5.partial", False),
        (".trash/x.h5", False),
        ("a/../x.h5", False),
        ("a/x.H5", False),
        ("a/x.hdf5", False),
        ("a/x", False),
        ("a/h5", False),
    ],
)
def test_candidates(path: str, candidate: bool) -> None:
    assert BL832.is_candidate(PurePosixPath(path)) is candidate


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(lambda s: s not in (".", "..")))
def test_any_file_name_gives_a_safe_key_and_keeps_the_original(stem: str) -> None:
    identity = BL832.identify(PurePosixPath("a-12345_b") / f"{stem}.h5")
    assert KEY_PATTERN.fullmatch(identity.key)
    assert identity.stem == stem


def test_bl832_is_a_beamline() -> None:
    beamline: Beamline = Bl832()
    assert beamline.name == "bl832"
    assert beamline == BL832
