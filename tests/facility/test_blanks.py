"""Words in angle brackets: a site that still has some is named with each of their places, and nothing is sent there."""

from __future__ import annotations

from pathlib import Path

import pytest
from facility_kit import TEXT

from als_assets.facility import Facility, load_facility, not_set_up

REPOSITORY = Path(__file__).parents[2]


def facility_with(tmp_path: Path, *changes: tuple[str, str]) -> Facility:
    text = TEXT.replace("ROOT", str(tmp_path))
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    (tmp_path / "facility.yaml").write_text(text)
    return load_facility(tmp_path / "facility.yaml")


def test_a_site_without_blanks_is_set_up(tmp_path: Path) -> None:
    facility = facility_with(tmp_path)
    assert [not_set_up(facility, site) for site in (*facility.sites, "mars")] == [""] * (len(facility.sites) + 1)


def test_every_place_of_every_blank_is_named_once(tmp_path: Path) -> None:
    blanks = [("far/logs", "far/<project>/logs"), ("root: /eagle/raw", "root: /eagle/<folder>/<folder>/<user>")]
    facility = facility_with(tmp_path, *blanks)
    assert not_set_up(facility, "nersc") == "NERSC is not set up: <project> must be filled in at sites.nersc.compute.log_dir"
    words = "<folder> must be filled in at locations.eagle_raw.root; <user> must be filled in at locations.eagle_raw.root"
    assert not_set_up(facility, "alcf") == f"ALCF is not set up: {words}"
    assert not_set_up(facility, "als") == ""


@pytest.mark.parametrize("harmless", ["a<b", "b>a", "<>", "<a/x>"])
def test_other_brackets_are_no_blanks(tmp_path: Path, harmless: str) -> None:
    facility = facility_with(tmp_path, ("far/logs", f"far/{harmless}"))
    assert not_set_up(facility, "nersc") == ""


def test_in_the_production_file_only_olcf_has_words_to_fill_in() -> None:
    als = load_facility(REPOSITORY / "facility" / "als.yaml")
    assert [site for site in als.sites if not_set_up(als, site)] == ["olcf"]
    assert "<OLCF project> must be filled in at sites.olcf.compute.log_dir, sites.olcf.compute.account" in not_set_up(als, "olcf")
