"""The deletion plan: what goes when, and what keeps it, in words.

Here: the pure function, case by case, without a database. Not here: what raw data need (``test_plan_raw``), pressure
(``test_plan_pressure``) and deleting (``test_prune``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan_kit import NOW, ONE, RULE, World, hold, policy

from als_assets.errors import ConfigError
from als_assets.facility import Facility
from als_assets.facility.models import LocationClass
from als_assets.facility.retention import Retention, RetentionRule
from als_assets.ledger import ReplicaState

S = ReplicaState


def required(copies: int, proof_days: float = 7.0) -> RetentionRule:
    return RetentionRule(min_age_days=14, verified_copies_elsewhere=copies, proof_max_age_days=proof_days, raw=ONE)


def volume() -> World:
    """A product at data832's scratch, twenty days old."""
    return World().copy("data_scratch", 20, product="recon_tiff")


def also(world: World, location: str, age: float, **more: object) -> World:
    return world.copy(location, age, product="recon_tiff", **more)  # type: ignore[arg-type]


STALE = "kept: the copy at NERSC was last verified 9 days ago, limit 7"
NOT_AGAIN = "and it cannot be made again: its parameters or the digest of its image are not on record"
CASES = [
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", 1), RULE, True, "", id="old, and a fresh copy at another site"),
    pytest.param(World().copy("data_scratch", 14).copy("far_raw", 1), RULE, True, "", id="due on the day"),
    pytest.param(World().copy("data_scratch", 13.99).copy("far_raw", 1), RULE, False, "", id="not due a moment before"),
    pytest.param(World().copy("data_scratch", 20, proven=1).copy("far_raw", 1), RULE, True, "", id="a repeated proof makes it no younger"),
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", 9), RULE, False, STALE, id="proof too old"),
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", 99, proven=7), RULE, True, "", id="proof just fresh enough"),
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", -1), RULE, False, "which is not yet", id="proof from the future"),
    pytest.param(volume(), RULE, False, f"kept: 0 verified copies at other sites, 1 required, {NOT_AGAIN}", id="the only volume"),
    pytest.param(also(volume(), "far_scratch", 9), RULE, False, STALE, id="a volume elsewhere, proof too old"),
    pytest.param(also(also(volume(), "far_scratch", 9), "far_raw", 1), RULE, True, "", id="the fresher of one site"),
    pytest.param(also(also(volume(), "far_raw", 1), "far_scratch", 9), RULE, True, "", id="the same, other order"),
    pytest.param(also(volume(), "data_raw", 1), RULE, False, "kept: 0 verified copies at other sites", id="the same site does not count"),
    pytest.param(also(also(volume(), "far_raw", 9), "eagle_raw", 1), RULE, True, "", id="one fresh site is enough"),
    pytest.param(also(also(volume(), "far_raw", 9), "eagle_raw", 1), required(2), False, STALE, id="of two required, one is old"),
    pytest.param(
        also(also(volume(), "far_raw", 1), "far_scratch", 1), required(2), False, "kept: 1 verified copy at", id="one site counts once"
    ),
    pytest.param(also(also(volume(), "far_raw", 1), "eagle_raw", 2), required(2), True, "", id="two sites"),
    pytest.param(also(volume(), "far_raw", 3), required(1, 2.5), False, "3 days ago, limit 2.5", id="a limit with halves"),
    *[pytest.param(also(volume(), "far_raw", 1, state=s), RULE, False, "kept: 0 verified", id=s) for s in S if s is not S.VERIFIED],
    pytest.param(also(volume(), "far_raw", 1, key="clay"), RULE, False, "kept: 0 verified", id="a copy of another scan"),
    pytest.param(volume().copy("far_raw", 1), RULE, False, "kept: 0 verified", id="another product"),
    pytest.param(also(volume(), "far_raw", 1, variant="v1"), RULE, False, "kept: 0 verified", id="another variant"),
    pytest.param(
        World(busy={"sand": "transfer:far_raw:x"}).copy("data_scratch", 20).copy("far_raw", 1),
        RULE,
        False,
        "kept: work on this scan is going on (transfer:far_raw:x)",
        id="an open operation",
    ),
    pytest.param(World(busy={"clay": "x"}).copy("data_scratch", 20).copy("far_raw", 1), RULE, True, "", id="one on another scan"),
]


@pytest.mark.parametrize(("world", "rule", "ready", "kept"), CASES)
def test_case(facility: Facility, world: World, rule: RetentionRule, ready: bool, kept: str) -> None:
    line = world.line(facility, policy(rule))
    assert line.ready(NOW) is ready
    assert (kept in line.kept_because) if kept else (line.kept_because == "")
    assert line.due == world.copies[0].since + timedelta(days=14)


class TestHolds:
    BOTH = World().copy("data_scratch", 20).copy("far_raw", 1)

    @pytest.mark.parametrize(
        ("given_hold", "kept"),
        [
            (hold(), "kept: ada holds it (paper)"),
            (hold(datetime(2026, 5, 1, tzinfo=UTC)), "kept: ada holds it until 2026-05-01 (paper)"),
            (hold(key=None, proposal="ALS-1"), "kept: ada holds it (paper)"),
            (hold(datetime(2026, 3, 1, tzinfo=UTC)), ""),
            (hold(key="clay"), ""),
            (hold(key=None, proposal="ALS-2"), ""),
        ],
    )
    def test_one_in_force_keeps(self, facility: Facility, given_hold: object, kept: str) -> None:
        world = World(self.BOTH.copies, holds=[given_hold])  # type: ignore[list-item]
        assert world.line(facility).kept_because == kept

    def test_it_is_the_first_reason_and_no_proof_is_repeated_for_it(self, facility: Facility) -> None:
        line = World(holds=[hold()]).copy("data_scratch", 20).copy("far_raw", 9).line(facility)
        assert line.kept_because.startswith("kept: ada") and not line.waits_for_proof(NOW)

    def test_what_if_on_another_day(self, facility: Facility) -> None:
        """A plan for a later moment knows that the hold has run out, and that the proof is older then."""
        world = World(self.BOTH.copies, holds=[hold(datetime(2026, 3, 5, tzinfo=UTC))])
        assert not world.line(facility).ready(NOW)
        assert world.line(facility, now=NOW + timedelta(days=4)).ready(NOW + timedelta(days=4))
        assert "last verified 10 days ago" in world.line(facility, now=NOW + timedelta(days=9)).kept_because


class TestProof:
    def test_an_old_proof_can_be_repeated_when_the_copy_is_due(self, facility: Facility) -> None:
        line = World().copy("data_scratch", 20).copy("far_raw", 9).line(facility)
        assert line.stale == (2,) and line.waits_for_proof(NOW) and not line.ready(NOW)
        assert not World().copy("data_scratch", 2).copy("far_raw", 9).line(facility).waits_for_proof(NOW)

    def test_a_line_says_what_where_how_much_why_and_by_which_proof(self, facility: Facility) -> None:
        line = also(also(volume(), "eagle_raw", 2), "far_raw", 1).line(facility)
        assert (line.dataset_key, line.what, line.location, line.size_bytes) == ("sand", "recon_tiff", "data_scratch", 100)
        assert line.proof == (3,), "the most recently proven copy"
        assert line.why == "14 days at a scratch location; copies at far_raw"


class TestProductsThatCanBeMadeAgain:
    RECIPE = ("sand", "recon_tiff", "")

    def test_raw_verified_parameters_and_image_known(self, facility: Facility) -> None:
        world = volume().copy("far_raw", 1)
        world.recipes = {self.RECIPE}
        line = world.line(facility)
        assert line.ready(NOW) and line.regenerable and line.proof == (2,)
        assert line.why.endswith("can be made again from the raw file at far_raw")

    def test_without_a_verified_raw_file_it_stays(self, facility: Facility) -> None:
        world = volume().copy("far_raw", 1, state=S.SUSPECT)
        world.recipes = {self.RECIPE}
        assert world.line(facility).kept_because.endswith("it cannot be made again: no raw file is verified")

    def test_a_staged_raw_file_is_no_raw_file(self, facility: Facility) -> None:
        world = volume().copy("far_scratch", 1, product="staged_raw")
        world.recipes = {self.RECIPE}
        assert world.line(facility).kept_because

    def test_the_recipe_of_another_variant_does_not_help(self, facility: Facility) -> None:
        world = volume().copy("far_raw", 1)
        world.recipes = {("sand", "recon_tiff", "v1")}
        assert NOT_AGAIN in world.line(facility).kept_because

    def test_a_copy_elsewhere_is_the_better_proof(self, facility: Facility) -> None:
        world = also(volume(), "far_raw", 1).copy("far_raw", 1)
        world.recipes = {self.RECIPE}
        assert not world.line(facility).regenerable

    def test_a_staged_raw_file_goes_once_the_raw_file_is_proven(self, facility: Facility) -> None:
        staged = World().copy("far_scratch", 20, product="staged_raw")
        assert staged.line(facility).kept_because == "kept: no copy of the raw file is verified, and this is one"
        line = staged.copy("data_raw", 1).line(facility)
        assert line.ready(NOW) and line.regenerable and line.proof == (2,)


class TestPlacesWithAndWithoutARule:
    @pytest.mark.parametrize("location", ["spot", "data_raw", "far_raw", "eagle_raw"])
    def test_a_class_without_a_rule_is_never_in_the_plan(self, facility: Facility, location: str) -> None:
        assert all(
            line.replica_id != 1 for line in World().copy(location, 999).copy("eagle_scratch", 1).copy("far_scratch", 1).plan(facility)
        )

    @pytest.mark.parametrize("state", [s for s in S if s is not S.VERIFIED])
    def test_only_verified_copies_are_in_the_plan(self, facility: Facility, state: ReplicaState) -> None:
        assert World().copy("data_scratch", 20, state=state).copy("far_raw", 1).plan(facility) == []

    def test_the_rule_of_a_location_wins_over_that_of_its_class(self, facility: Facility) -> None:
        soon = policy(locations={"far_scratch": {"min_age_days": 1}})
        world = World().copy("far_scratch", 2, product="staged_raw").copy("data_scratch", 2, product="staged_raw").copy("data_raw", 1)
        assert [line.ready(NOW) for line in world.plan(facility, soon)] == [True, False]

    def test_never_delete_wins_over_the_rule_of_a_location(self, facility: Facility) -> None:
        rash = policy(locations={"eagle_raw": {"min_age_days": 0}})
        assert World().copy("eagle_raw", 99).copy("far_raw", 1).copy("data_raw", 1).plan(facility, rash) == []

    def test_a_rule_for_a_class_that_is_never_deleted_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"rules\.archive: the class 'archive' is in never_delete"):
            Retention(rules={LocationClass.ARCHIVE: RetentionRule(min_age_days=1)})

    def test_a_copy_at_a_place_that_the_facility_has_forgotten_stops_the_plan(self, facility: Facility) -> None:
        """Silence would be wrong: nobody could say any more what is there."""
        with pytest.raises(ConfigError, match="'gone' is not in the facility file"):
            World().copy("gone", 20).plan(facility)

    @pytest.mark.parametrize("table", [{"locations": {"scratsh": {"min_age_days": 1}}}, {"pressure": {"scratsh": {"free_below_gb": 1}}}])
    def test_a_misspelt_location_is_never_silently_without_its_rule(self, facility: Facility, table: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match="'scratsh' is not in the facility file"):
            World().plan(facility, policy(**table))


def test_the_first_to_go_is_the_first_line_and_kept_ones_are_last(facility: Facility) -> None:
    world = World()
    for key, age in (("young", 1), ("old", 40), ("alone", 90), ("middle", 20)):
        world.copy("data_scratch", age, key=key)
        if key != "alone":
            world.copy("far_raw", 1, key=key)
    assert [line.dataset_key for line in world.plan(facility)] == ["old", "middle", "young", "alone"]


def test_a_changed_rule_changes_the_plan_at_once(facility: Facility) -> None:
    world = World().copy("data_scratch", 20).copy("far_raw", 1)
    assert world.line(facility).ready(NOW)
    stricter = RetentionRule(min_age_days=30, raw=ONE)
    assert world.line(facility, policy(stricter)).due == NOW + timedelta(days=10)


copies = st.lists(
    st.tuples(
        st.sampled_from(["spot", "data_raw", "data_scratch", "far_raw", "far_scratch", "eagle_raw", "eagle_scratch"]),
        st.floats(0, 60),
        st.sampled_from(["sand", "clay"]),
        st.sampled_from(list(S)),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the facility is only read
@given(copies, st.integers(1, 3), st.floats(0.5, 30))
def test_nothing_goes_without_enough_fresh_copies_elsewhere(
    facility: Facility, rows: list[tuple[str, float, str, ReplicaState]], wanted: int, limit: float
) -> None:
    world = World()
    for location, age, key, state in rows:
        world.copy(location, age, key=key, state=state, product="recon_zarr")
    lines = world.plan(facility, policy(required(wanted, limit)))
    assert lines == world.plan(facility, policy(required(wanted, limit))), "the same question has the same answer"
    by_id = {c.id: c for c in world.copies}
    scratch = {
        c.id for c in world.copies if c.state is S.VERIFIED and facility.location(c.location).location_class is LocationClass.SCRATCH
    }
    assert {line.replica_id for line in lines} == scratch
    for line in lines:
        proof = [by_id[i] for i in line.proof]
        sites = {facility.site_of(c.location) for c in proof}
        assert len(sites) == len(proof) and facility.site_of(line.location) not in sites
        if line.ready(NOW):
            assert len(proof) == wanted
            for c in proof:
                assert c.state is S.VERIFIED and c.dataset_key == line.dataset_key and NOW - c.proven_at <= timedelta(days=limit)
