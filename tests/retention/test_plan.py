"""The deletion plan: what goes when, and what keeps it, in words.

Here: the pure function, case by case, without a database. Not here: deleting (``test_prune``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from als_assets.errors import ConfigError
from als_assets.facility import Facility
from als_assets.facility.models import LocationClass
from als_assets.facility.settings import Retention, RetentionRule
from als_assets.ledger import Dataset, Hold, Operation, Replica, ReplicaState
from als_assets.retention.plan import PlanLine, Snapshot, plan

S = ReplicaState
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RULE = RetentionRule(min_age_days=14)


@dataclass
class World:
    """Copies of scans, with ages in days."""

    copies: list[Replica] = field(default_factory=list)
    open_operations: list[Operation] = field(default_factory=list)
    hold: Callable[[Dataset], Hold | None] = lambda _dataset: None
    _ids: count[int] = field(default_factory=lambda: count(1))

    def copy(
        self, location: str, age: float, *, key: str = "sand", product: str = "raw", variant: str = "", state: S = S.VERIFIED
    ) -> World:
        row = Replica(id=next(self._ids), dataset_key=key, product=product, variant=variant, location=location, path=f"{key}/{location}")
        row.state, row.size_bytes, row.created_at, row.verified_at = state, 100, NOW - timedelta(days=99), NOW - timedelta(days=age)
        self.copies.append(row)
        return self

    def plan(self, facility: Facility, rule: RetentionRule = RULE, now: datetime = NOW) -> list[PlanLine]:
        datasets = {r.dataset_key: Dataset(key=r.dataset_key, proposal="ALS-1") for r in self.copies}
        snapshot = Snapshot(self.copies, datasets, self.open_operations, self.hold)
        return plan(facility, Retention(rules={LocationClass.SCRATCH: rule}), snapshot, now)


def held(until: datetime | None = None) -> Callable[[Dataset], Hold | None]:
    return lambda _dataset: Hold(who="ada", reason="paper", until=until)


def required(copies: int, proof_days: float = 7.0) -> RetentionRule:
    return RetentionRule(min_age_days=14, verified_copies_elsewhere=copies, proof_max_age_days=proof_days)


TWO_AGO = "kept: the copy at nersc was last verified 9 days ago, limit 7"
CASES = [
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", 1), RULE, True, "", id="old, and a fresh copy at another site"),
    pytest.param(World().copy("data_scratch", 14).copy("far_raw", 1), RULE, True, "", id="due on the day"),
    pytest.param(World().copy("data_scratch", 13.99).copy("far_raw", 1), RULE, False, "", id="not due a moment before"),
    pytest.param(
        World().copy("data_scratch", 20), RULE, False, "kept: 0 verified copies at other sites, 1 are required", id="the only copy"
    ),
    pytest.param(
        World().copy("data_scratch", 20).copy("data_raw", 1).copy("spot", 1),
        RULE,
        False,
        "kept: 0 verified copies at other sites, 1 are required",
        id="copies at the same site do not count",
    ),
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", 9), RULE, False, TWO_AGO, id="proof too old"),
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", 7), RULE, True, "", id="proof just fresh enough"),
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", 9).copy("far_scratch", 1), RULE, True, "", id="the fresher of one site"),
    pytest.param(World().copy("data_scratch", 20).copy("far_scratch", 1).copy("far_raw", 9), RULE, True, "", id="the same, other order"),
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", 9).copy("eagle_raw", 1), RULE, True, "", id="one fresh site is enough"),
    pytest.param(
        World().copy("data_scratch", 20).copy("far_raw", 9).copy("eagle_raw", 1),
        required(2),
        False,
        TWO_AGO,
        id="of two required, one is old",
    ),
    pytest.param(
        World().copy("data_scratch", 20).copy("far_raw", 1).copy("far_scratch", 1),
        required(2),
        False,
        "kept: 1 verified copies at other sites, 2 are required",
        id="two copies at one site count once",
    ),
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", 1).copy("eagle_raw", 2), required(2), True, "", id="two sites"),
    pytest.param(
        World().copy("data_scratch", 20).copy("far_raw", 3), required(1, 2.5), False, "3 days ago, limit 2.5", id="a limit with halves"
    ),
    *[
        pytest.param(
            World().copy("data_scratch", 20).copy("far_raw", 1, state=state), RULE, False, "kept: 0 verified", id=f"a copy that is {state}"
        )
        for state in S
        if state is not S.VERIFIED
    ],
    pytest.param(
        World().copy("data_scratch", 20).copy("far_raw", 1, key="clay"), RULE, False, "kept: 0 verified", id="a copy of another scan"
    ),
    pytest.param(
        World().copy("data_scratch", 20).copy("far_raw", 1, product="recon_tiff"), RULE, False, "kept: 0 verified", id="another product"
    ),
    pytest.param(World().copy("data_scratch", 20).copy("far_raw", 1, variant="v1"), RULE, False, "kept: 0 verified", id="another variant"),
    pytest.param(World(hold=held()).copy("data_scratch", 20).copy("far_raw", 1), RULE, False, "kept: ada holds it (paper)", id="held"),
    pytest.param(
        World(hold=held(datetime(2026, 5, 1, tzinfo=UTC))).copy("data_scratch", 20).copy("far_raw", 1),
        RULE,
        False,
        "kept: ada holds it until 2026-05-01 (paper)",
        id="held until a day",
    ),
    pytest.param(World(hold=held()).copy("data_scratch", 20), RULE, False, "kept: ada holds it", id="a hold is the first reason"),
    pytest.param(
        World(open_operations=[Operation(dataset_key="sand")]).copy("data_scratch", 20).copy("far_raw", 1),
        RULE,
        False,
        "kept: work on this scan is going on",
        id="an open operation",
    ),
    pytest.param(
        World(open_operations=[Operation(dataset_key="clay")]).copy("data_scratch", 20).copy("far_raw", 1), RULE, True, "", id="another's"
    ),
]


@pytest.mark.parametrize(("world", "rule", "ready", "kept"), CASES)
def test_case(facility: Facility, world: World, rule: RetentionRule, ready: bool, kept: str) -> None:
    line = next(line for line in world.plan(facility, rule) if line.replica_id == 1)
    assert line.ready(NOW) is ready
    assert (kept in line.kept_because) if kept else (line.kept_because == "")
    verified_at = world.copies[0].verified_at
    assert verified_at is not None and line.due == verified_at + timedelta(days=14)


def test_a_line_says_what_where_how_much_and_by_which_proof(facility: Facility) -> None:
    (line,) = World().copy("data_scratch", 20).copy("eagle_raw", 2).copy("far_raw", 1).plan(facility)
    assert (line.dataset_key, line.what, line.location, line.size_bytes) == ("sand", "raw", "data_scratch", 100)
    assert line.proof == (3,), "the most recently proven copy"


@pytest.mark.parametrize("location", ["spot", "data_raw", "far_raw", "eagle_raw"])
def test_a_class_without_a_rule_is_never_in_the_plan(facility: Facility, location: str) -> None:
    assert World().copy(location, 999).copy("eagle_scratch", 1).copy("far_scratch", 1).plan(facility)[0].replica_id != 1


@pytest.mark.parametrize("state", [s for s in S if s is not S.VERIFIED])
def test_only_verified_copies_are_in_the_plan(facility: Facility, state: ReplicaState) -> None:
    assert World().copy("data_scratch", 20, state=state).copy("far_raw", 1).plan(facility) == []


def test_the_first_to_go_is_the_first_line_and_kept_ones_are_last(facility: Facility) -> None:
    world = World()
    for key, age in (("young", 1), ("old", 40), ("alone", 90), ("middle", 20)):
        world.copy("data_scratch", age, key=key)
        if key != "alone":
            world.copy("far_raw", 1, key=key)
    assert [line.dataset_key for line in world.plan(facility)] == ["old", "middle", "young", "alone"]


def test_a_changed_rule_changes_the_plan_at_once(facility: Facility) -> None:
    world = World().copy("data_scratch", 20).copy("far_raw", 1)
    assert world.plan(facility, RetentionRule(min_age_days=14))[0].ready(NOW)
    assert not world.plan(facility, RetentionRule(min_age_days=30))[0].ready(NOW)


def test_the_clock_alone_makes_it_due(facility: Facility) -> None:
    world = World().copy("data_scratch", 0).copy("far_raw", 0)
    rule = required(1, proof_days=100)
    assert [world.plan(facility, rule, NOW + timedelta(days=d))[0].ready(NOW + timedelta(days=d)) for d in (0, 13, 14, 15)] == [
        False,
        False,
        True,
        True,
    ]


def test_a_copy_at_a_place_that_left_the_facility_file_is_named(facility: Facility) -> None:
    with pytest.raises(ConfigError, match="'attic' is not in the facility file"):
        World().copy("attic", 20).copy("far_raw", 1).plan(facility)


LOCATIONS = ["spot", "data_raw", "data_scratch", "far_raw", "far_scratch", "eagle_raw", "eagle_scratch"]
copies = st.lists(
    st.tuples(st.sampled_from(LOCATIONS), st.floats(0, 40), st.sampled_from(["sand", "clay"]), st.sampled_from(list(S))), max_size=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the facility is only read
@given(copies, st.integers(1, 3), st.floats(0.5, 30))
def test_nothing_goes_without_enough_fresh_copies_elsewhere(
    facility: Facility, rows: list[tuple[str, float, str, ReplicaState]], wanted: int, limit: float
) -> None:
    world = World()
    for location, age, key, state in rows:
        world.copy(location, age, key=key, state=state)
    lines = world.plan(facility, required(wanted, limit))
    assert lines == world.plan(facility, required(wanted, limit)), "the same question has the same answer"
    by_id = {r.id: r for r in world.copies}
    assert {line.replica_id for line in lines} == {
        r.id for r in world.copies if r.state is S.VERIFIED and facility.location(r.location).location_class is LocationClass.SCRATCH
    }
    for line in lines:
        proof = [by_id[i] for i in line.proof]
        sites = {facility.site_of(r.location) for r in proof}
        assert len(sites) == len(proof) and facility.site_of(line.location) not in sites
        if line.ready(NOW):
            assert len(proof) == wanted
            for r in proof:
                assert r.state is S.VERIFIED and r.dataset_key == line.dataset_key
                assert r.verified_at is not None and NOW - r.verified_at <= timedelta(days=limit)
