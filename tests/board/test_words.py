"""Pure parts: moments, safety over any set of copies, and that a verdict is found for every history of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from board_story import START, Clock, Story, facility_document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from als_assets.board.moments import ago, exact
from als_assets.board.records import ScanRecord, read_scans
from als_assets.board.safety import safety_of
from als_assets.board.steps import SPECS, steps_of
from als_assets.board.verdict import BAD, StepState
from als_assets.facility import Facility
from als_assets.ledger import Ledger, OperationKind, OperationState, Replica, ReplicaState
from als_assets.ledger.states import OPEN_OPERATIONS

Tell = Callable[..., Story]


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        ({"seconds": -5}, "just now"),
        ({"seconds": 59}, "just now"),
        ({"seconds": 60}, "1 min ago"),
        ({"minutes": 59, "seconds": 59}, "59 min ago"),
        ({"hours": 1}, "1 h ago"),
        ({"hours": 23, "minutes": 59}, "23 h ago"),
        ({"hours": 24}, "1 day ago"),
        ({"days": 40}, "40 days ago"),
    ],
)
def test_ago(passed: dict[str, float], words: str) -> None:
    assert ago(START, START + timedelta(**passed)) == words


def test_exact_is_utc() -> None:
    assert exact(START) == "2026-03-01 17:00:00 UTC"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    states=st.dictionaries(
        st.sampled_from(["spot832", "data832_raw", "data832_scratch", "nersc832_raw", "nersc832_scratch", "unheard_of"]),
        st.sampled_from(ReplicaState),
    )
)
def test_yes_is_said_only_for_verified_raw_copies_at_two_sites(ledger: Ledger, facility: Facility, states: dict[str, ReplicaState]) -> None:
    record = replace(_record(ledger), replicas=[_replica(location, state) for location, state in states.items()])
    safety = safety_of(facility, record, START)
    sites = {facility.site_of(n) for n, s in states.items() if s is ReplicaState.VERIFIED and n in facility.locations}
    assert safety.verified_sites == len(sites)
    assert (safety.answer == "Yes") is (len(sites) > 1)
    assert (safety.answer == "No") is (not sites)


def _record(ledger: Ledger) -> ScanRecord:
    dataset = ledger.datasets.find("pure") or Story(ledger, Clock(), "pure").dataset
    return read_scans(ledger, [dataset])[0]


def _replica(location: str, state: ReplicaState) -> Replica:
    return Replica(
        id=hash(location), dataset_key="pure", product="raw", variant="", location=location, state=state, verified_at=START, evidence={}
    )


NUMBERS = count()
MOVES = st.lists(st.sampled_from(["begin", "submit", "succeed", "fail", "cancel", "verify", "suspect", "note", "tick"]), max_size=14)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
def test_whatever_happened_a_verdict_is_found_and_truthful(ledger: Ledger, facility: Facility, tell: Tell, moves: list[str]) -> None:
    """Over any history of one copy: 'done' is said exactly when it is verified and nothing is open, and failures stay visible."""
    story = tell(f"scan_{next(NUMBERS)}")
    story.started()
    replica = ledger.replicas.expect(story.key, "raw", "data832_raw", story.dataset.raw_path)
    for move in moves:
        _apply(story, replica, move)
    record = read_scans(ledger, [ledger.datasets.get(story.key)])[0]
    step = steps_of(facility, record, None)[0]
    now = ledger.replicas.get(replica.id)
    last = ledger.operations.last(f"transfer:{story.key}")
    is_open = last is not None and last.state in OPEN_OPERATIONS
    if now.state is ReplicaState.VERIFIED and not is_open:
        assert step.state is StepState.DONE
    if now.state is not ReplicaState.VERIFIED:
        assert step.state is not StepState.DONE
        if last is not None and last.state is OperationState.FAILED:
            assert step.state is StepState.FAILED
    if step.state in BAD:
        assert step.sentence and step.next_step


def _apply(story: Story, replica: Replica, move: str) -> None:
    """The move, where the record allows it."""
    ledger, key = story.ledger, f"transfer:{story.key}"
    opened = ledger.operations.open_with(key)
    state = ledger.replicas.get(replica.id).state
    story.clock.pass_(seconds=1)
    if move == "begin" and opened is None:
        story.open(OperationKind.TRANSFER, replica, key, submitted=False)
    elif move == "submit" and opened is not None:
        ledger.operations.submitted(opened, task_id="t")
    elif move in ("succeed", "fail", "cancel") and opened is not None:
        wanted = {"succeed": "succeeded", "fail": "failed", "cancel": "cancelled"}[move]
        submitted = ledger.operations.submitted(opened)
        ledger.operations.finish(submitted, OperationState(wanted), why=move, outcome={"sentence": move} if move != "succeed" else {})
    elif move == "verify" and state is ReplicaState.EXPECTED:
        ledger.replicas.move(replica.id, ReplicaState.VERIFIED, why="proven")
    elif move == "suspect" and state is ReplicaState.VERIFIED:
        ledger.replicas.move(replica.id, ReplicaState.SUSPECT, why="looked again")
    elif move == "note":
        story.noted("raw_on_data832", "It failed.", "Do this.")


def test_the_steps_are_in_an_order_that_their_needs_allow() -> None:
    seen: set[str] = set()
    for spec in SPECS:
        assert set(spec.needs) <= seen
        seen.add(spec.asset)


def test_a_facility_without_dagster_has_no_links_there(tmp_path: Path, ledger: Ledger) -> None:
    facility = Facility.model_validate({**facility_document(tmp_path), "dagster_url": ""})
    assert all(not step.links for step in steps_of(facility, _record(ledger), None))
