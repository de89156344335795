"""No path from outside leads out of its location, or to the location's root itself.

Here: the jail, for paths made by chance and by malice. Not here: links on a disk (``transfer``).
"""

from __future__ import annotations

import posixpath

import pytest
from facility_kit import facility_at
from hypothesis import example, given
from hypothesis import strategies as st

from als_assets.errors import PathOutsideLocation
from als_assets.facility import Facility, Place
from als_assets.facility.places import PurePosixPath, jailed

ROOT = PurePosixPath("/data/raw")
pieces = st.sampled_from(
    ["..", ".", "", "/", "//", "a", " ", "~", "-rf", "$(id)", ";", "é", "a\\..\\b", "\udcff", "..a", "...", "\n", "\0"]
)
paths = st.one_of(st.text(max_size=40), st.lists(pieces, max_size=8).map("/".join), st.lists(pieces, max_size=8).map("".join))


@given(paths)
@example("./")
@example(".//.")
@example("a/..")
@example("a/../../etc")
def test_a_path_stays_below_the_root_or_is_refused(path: str) -> None:
    try:
        found = str(jailed("data_raw", ROOT, path))
    except PathOutsideLocation as error:
        assert "nothing was done" in error.sentence and "data_raw" in error.sentence
        return
    assert found.startswith("/data/raw/") and posixpath.normpath(found) == found
    assert posixpath.normpath(posixpath.join("/data/raw", path)) == found, "it is the path that was meant"
    assert found.isprintable() or not any(ord(c) < 32 for c in found)


@pytest.mark.parametrize("path", ["", ".", "./", "././", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", "a\nb", "a\0b", "\t"])
def test_refused(path: str) -> None:
    with pytest.raises(PathOutsideLocation) as caught:
        jailed("data_raw", ROOT, path)
    assert caught.value.next_step and caught.value.details["location"] == "data_raw"


@pytest.mark.parametrize("path", ["a.h5", "f/a.h5", "..a/b", "a b/'c'.h5", "$(id);|,.h5", "ümlaut/…", "a/./b", "-rf"])
def test_odd_names_are_only_names(path: str) -> None:
    assert jailed("data_raw", ROOT, path) == ROOT / path


def test_a_place_is_seen_by_mover_and_site_below_root_and_prefix(facility: Facility) -> None:
    location = facility.location("spot").model_copy(update={"root": PurePosixPath("/"), "path_on_site": PurePosixPath("/global")})
    place = Place("spot", location, "f/a.h5")
    assert place.mover_path == "/raw/f/a.h5"
    assert place.site_path == PurePosixPath("/global/raw/f/a.h5")


@pytest.mark.parametrize("side", ["mover_path", "site_path"])
def test_a_hostile_place_is_refused_on_both_sides(facility: Facility, side: str) -> None:
    place = Place("spot", facility.location("spot"), "../outside.h5")
    with pytest.raises(PathOutsideLocation):
        getattr(place, side)


def test_the_site_sees_the_root_where_nothing_else_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("box")
    place = Place("far_raw", facility_at(folder).location("far_raw"), "a")
    assert str(place.site_path) == place.mover_path == f"{folder}/far/raw/a"
