"""What must be left of raw data when one raw copy goes, and that space runs short.

Here: the pure plan. Not here: everything else about it (``test_plan``).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan_kit import NOW, ONE, World, policy, with_archive
from pydantic import ValidationError

from als_assets.facility import Facility
from als_assets.facility.load import load_facility, load_model
from als_assets.facility.models import LocationClass
from als_assets.facility.retention import RawLeft, Retention, RetentionRule
from als_assets.facility.settings import Settings
from als_assets.ledger import ReplicaState

S = ReplicaState
REPOSITORY = Path(__file__).parents[2]
# Everywhere at once, so that only what must be left decides.
EVERYWHERE = {name: RetentionRule(min_age_days=0) for name in LocationClass if name not in ("archive", "view")}
LATER_ONE = {**EVERYWHERE, LocationClass.STAGING: RetentionRule(min_age_days=0, raw=RawLeft(copies=1, sites=1))}


def kept(world: World, facility: Facility, **changes: object) -> str:
    retention = Retention.model_validate({"rules": EVERYWHERE, **changes})
    return world.line(facility, retention).kept_because


class TestTwoCopiesAtTwoSitesOneInAnArchive:
    def test_that_is_enough(self, facility: Facility) -> None:
        world = World().copy("spot", 1).copy("data_raw", 1).copy("far_raw", 1)
        assert kept(world, with_archive(facility)) == ""
        assert sorted(world.line(with_archive(facility), Retention(rules=EVERYWHERE)).proof) == [2, 3]

    def test_the_only_copy_stays(self, facility: Facility) -> None:
        assert kept(World().copy("spot", 1), facility) == "kept: it is the only verified copy of the raw file"

    def test_one_copy_is_not_enough(self, facility: Facility) -> None:
        world = World().copy("spot", 1).copy("far_raw", 1)
        words = "kept: 1 other verified copy (far_raw); 2 at 2 different sites must be left"
        assert kept(world, with_archive(facility)) == words

    def test_two_at_one_site_are_not_enough(self, facility: Facility) -> None:
        world = World().copy("spot", 1).copy("data_raw", 1).copy("data_scratch", 1)
        assert "2 at 2 different sites must be left" in kept(world, facility)

    def test_without_the_archive_it_stays(self, facility: Facility) -> None:
        world = World().copy("spot", 1).copy("data_raw", 1).copy("far_scratch", 1)
        words = "kept: no verified copy is in an archive (verified: data_raw, far_scratch)"
        assert kept(world, with_archive(facility)) == words

    def test_where_the_beamline_has_no_archive_none_is_asked_for(self, facility: Facility) -> None:
        """eagle_raw is an archive, but plays no part for this beamline."""
        assert kept(World().copy("spot", 1).copy("data_raw", 1).copy("far_raw", 1), facility) == ""

    @pytest.mark.parametrize("state", [s for s in S if s is not S.VERIFIED])
    def test_only_verified_copies_count(self, facility: Facility, state: ReplicaState) -> None:
        assert kept(World().copy("spot", 1).copy("data_raw", 1).copy("far_raw", 1, state=state), with_archive(facility))

    def test_while_a_raw_copy_is_suspect_none_goes(self, facility: Facility) -> None:
        world = World(disputed={"sand": "data_scratch"}).copy("spot", 1).copy("data_raw", 1).copy("far_raw", 1)
        words = "kept: the raw copy at data_scratch is suspect; until it is known which copy is right, none goes"
        words += " (als copy prove sand --at data_scratch)"
        assert kept(world, with_archive(facility)) == words
        assert kept(World(world.copies, disputed={"clay": "spot"}), with_archive(facility)) == ""

    def test_a_staged_raw_file_counts_for_nothing(self, facility: Facility) -> None:
        assert kept(World().copy("spot", 1).copy("data_raw", 1).copy("far_scratch", 1, product="staged_raw"), facility)

    def test_of_three_the_archive_and_the_most_recently_proven_are_the_proof(self, facility: Facility) -> None:
        world = World().copy("spot", 1).copy("data_raw", 9, proven=5).copy("data_scratch", 9, proven=1).copy("far_raw", 9, proven=6)
        assert sorted(world.line(with_archive(facility), Retention(rules=EVERYWHERE)).proof) == [3, 4]


class TestFirstAndLater:
    LAST_TWO = World().copy("data_raw", 50).copy("far_raw", 1)

    def test_the_first_to_go_needs_what_first_raw_says_whatever_its_rule(self, facility: Facility) -> None:
        line = self.LAST_TWO.line(with_archive(facility), Retention(rules=LATER_ONE))
        assert "2 at 2 different sites must be left" in line.kept_because

    def test_a_later_one_needs_what_its_rule_says(self, facility: Facility) -> None:
        world = World(self.LAST_TWO.copies, raw_gone={"sand"})
        assert world.line(with_archive(facility), Retention(rules=LATER_ONE)).kept_because == ""
        assert world.line(with_archive(facility), Retention(rules=EVERYWHERE)).kept_because, "its rule asks for two"

    def test_a_later_one_never_goes_for_a_copy_at_its_own_site(self, facility: Facility) -> None:
        world = World(raw_gone={"sand"}).copy("data_raw", 50).copy("data_scratch", 1)
        rule = {LocationClass.STAGING: RetentionRule(min_age_days=0, raw=ONE)}
        line = world.line(facility, Retention(rules=rule))
        assert line.kept_because == "kept: 1 other verified copy (data_scratch); 1 at another site must be left"

    def test_more_sites_than_copies_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="1 copies cannot be at 2 sites"):
            RawLeft(copies=1, sites=2)


class TestPressure:
    """Space is short: products go before their age, and only as many as needed."""

    SHORT = policy(pressure={"data_scratch": {"free_below_gb": 1}})

    def world(self, free: int | None) -> World:
        world = World(free={} if free is None else {"data_scratch": free}, recipes={("old", "recon_tiff", "")})
        world.copy("data_scratch", 5, key="old", product="recon_tiff", size=300_000_000).copy("far_raw", 1, key="old")
        world.copy("data_scratch", 9, key="there", product="recon_zarr", size=400_000_000)
        world.copy("far_scratch", 1, key="there", product="recon_zarr")
        world.copy("data_scratch", 3, key="new", product="staged_raw", size=500_000_000).copy("far_raw", 1, key="new")
        return world.copy("data_scratch", 9, key="raw", size=900_000_000).copy("far_raw", 1, key="raw").copy("data_raw", 1, key="raw")

    def early(self, facility: Facility, free: int | None) -> list[str]:
        lines = self.world(free).plan(facility, self.SHORT)
        return [line.dataset_key for line in lines if line.location == "data_scratch" and line.ready(NOW)]

    @pytest.mark.parametrize(
        ("free", "go"),
        [
            (None, []),
            (1_000_000_000, []),
            (999_999_999, ["old"]),
            (700_000_000, ["old"]),
            (699_999_999, ["old", "new"]),
            (100_000_000, ["old", "new", "there"]),
            (0, ["old", "new", "there"]),
        ],
    )
    def test_the_oldest_that_can_be_made_again_go_first_and_raw_never(self, facility: Facility, free: int | None, go: list[str]) -> None:
        assert self.early(facility, free) == sorted(go, key=["old", "new", "there"].index)

    def test_the_line_says_so(self, facility: Facility) -> None:
        line = next(line for line in self.world(200_000_000).plan(facility, self.SHORT) if line.dataset_key == "old")
        assert line.why.startswith("only 200.0 MB free at data_scratch, limit 1.0 GB; 14 days at")
        assert line.due == NOW

    def test_conditions_stay_in_force(self, facility: Facility) -> None:
        world = self.world(0)
        world.busy = {"old": "job:x"}
        assert not any(line.ready(NOW) and line.dataset_key == "old" for line in world.plan(facility, self.SHORT))


places = st.lists(
    st.tuples(
        st.sampled_from(["spot", "data_raw", "data_scratch", "far_raw", "far_scratch", "eagle_raw", "eagle_scratch"]),
        st.floats(0, 9),
        st.sampled_from(list(S)),
    ),
    max_size=7,
    unique_by=lambda row: row[0],
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the facility is only read
@given(places, st.integers(1, 3), st.integers(1, 3), st.booleans(), st.booleans())
def test_no_raw_copy_goes_without_what_must_be_left(
    facility: Facility, rows: list[tuple[str, float, ReplicaState]], copies: int, sites: int, archive: bool, gone: bool
) -> None:
    box, left = with_archive(facility), RawLeft(copies=max(copies, sites), sites=sites, archive=archive)
    world = World(raw_gone={"sand"} if gone else set())
    for location, age, state in rows:
        world.copy(location, age, state=state)
    by_id = {c.id: c for c in world.copies}
    rules = {name: RetentionRule(min_age_days=0, raw=left) for name in EVERYWHERE}
    for line in world.plan(box, Retention(rules=rules, first_raw=ONE)):
        others = [c for c in world.copies if c.state is S.VERIFIED and c.id != line.replica_id]
        own = box.site_of(line.location)
        possible = (
            len(others) >= left.copies
            and len({box.site_of(c.location) for c in others}) >= sites
            and (not archive or any(c.location in ("far_raw", "eagle_raw") for c in others))
            and any(box.site_of(c.location) != own for c in others)
        )
        fresh = all(NOW - by_id[i].proven_at <= timedelta(days=7) for i in line.proof)
        assert line.ready(NOW) is (possible and fresh), line.kept_because


@pytest.fixture(scope="module")
def als() -> Facility:
    return load_facility(REPOSITORY / "facility" / "als.yaml")


@pytest.fixture(scope="module")
def retention() -> Retention:
    return load_model(REPOSITORY / "settings" / "bl832.yaml", Settings).retention


class TestTheBeamlinesDefaults:
    """``settings/bl832.yaml`` over ``facility/als.yaml``."""

    def due_days(self, als: Facility, retention: Retention, location: str) -> float | None:
        rule = retention.rule_for(location, als.location(location).location_class)
        return None if rule is None else rule.min_age_days

    @pytest.mark.parametrize(
        ("location", "days"),
        [
            ("spot832", 1),
            ("data832_raw", 35),
            ("data832_scratch", 14),
            ("nersc832_alsdev_pscratch_raw", 1),
            ("nersc832_alsdev_pscratch_scratch", 1),
            ("alcf832_raw", 2),
            ("alcf832_scratch", 2),
            ("nersc832_alsdev_raw", None),
            ("data832", None),
        ],
    )
    def test_ages(self, als: Facility, retention: Retention, location: str, days: float | None) -> None:
        assert self.due_days(als, retention, location) == days

    def test_the_detector_is_cleaned_only_with_data832_and_the_archive(self, als: Facility, retention: Retention) -> None:
        world = World().copy("spot832", 2).copy("data832_raw", 2, proven=0.5)
        assert "2 different sites" in world.line(als, retention).kept_because or "archive" in world.line(als, retention).kept_because
        assert world.copy("nersc832_alsdev_raw", 2, proven=0.5).line(als, retention).ready(NOW)

    def test_data832_is_cleaned_once_the_archive_has_it(self, als: Facility, retention: Retention) -> None:
        world = World(raw_gone={"sand"}).copy("data832_raw", 36)
        assert not world.line(als, retention).ready(NOW)
        assert world.copy("nersc832_alsdev_raw", 36, proven=0.5).line(als, retention).ready(NOW)

    def test_a_scan_that_must_stay_keeps_every_raw_copy(self, als: Facility, retention: Retention) -> None:
        assert World().copy("spot832", 900).copy("data832_raw", 900, proven=0.1).line(als, retention).kept_because
