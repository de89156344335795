"""Random histories of retention as a Hypothesis state machine, over the real record, plan and prune, in a world of its own.

Here: what can happen, and the one invariant. Not here: how many histories are tried (``test_histories``). Every rule is one step.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ledger_kit import empty
from sqlalchemy import event

from als_assets.facility.models import LocationClass
from als_assets.facility.retention import RawLeft, Retention, RetentionRule
from als_assets.ledger import Ledger, Replica, ReplicaState
from als_assets.ledger.database import sqlite_url
from als_assets.soak.lab import BEGIN, Lab
from als_assets.soak.places import ALCF, ARCHIVE, DATA, SPOT, beamline_policy

FAULTS = {"transfer": ["fails", "corrupt", "nothing", "answer lost", "slow", "cut"]}
FAULTS |= {"delete": ["fails", "kept", "answer lost", "slow", "cut", "disk goes"], "call": ["cut", "clock set back"]}
AGES = {name: RetentionRule(min_age_days=1) for name in (LocationClass.ACQUISITION, LocationClass.SCRATCH)}
POLICIES = [
    beamline_policy(),
    beamline_policy().model_copy(update={"grace_hours": 0.0}),
    Retention(grace_hours=0, rules=AGES),  # data832 is never cleaned
    Retention(grace_hours=0, rules={**AGES, LocationClass.STAGING: RetentionRule(min_age_days=0, raw=RawLeft(copies=1, sites=1))}),
    Retention(grace_hours=1, first_raw=RawLeft(copies=3, sites=3), rules=AGES),
    Retention(rules={}),
]


class Record:
    """One record for all histories, emptied before each: a new one would compile every statement anew."""

    def __init__(self, folder: Path) -> None:
        self.clock: Callable[[], datetime] = lambda: BEGIN
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"), who="history", clock=lambda: self.clock())
        event.listen(self.ledger.engine, "connect", lambda connection, _record: connection.execute("PRAGMA synchronous=OFF"))

    def emptied(self, _folder: Path, clock: Callable[[], datetime]) -> Ledger:
        self.clock = clock
        empty(self.ledger.engine)
        return self.ledger


class Histories(RuleBasedStateMachine):
    """One history. ``steps`` counts those of all."""

    steps = 0
    histories = 0
    deletions = 0
    refusals = 0
    record: Record

    def __init__(self) -> None:
        super().__init__()
        type(self).histories += 1
        self.folder = Path(tempfile.mkdtemp(prefix="als-history-"))
        self.next: dict[str, str] = {}
        self.lab = Lab(self.folder, self.record.emptied, draw=lambda name: self.next.pop(name, ""), retention=POLICIES[0])
        self.lab.world.poll_s = 600
        self.scans: list[str] = []
        self.holds: list[int] = []

    def teardown(self) -> None:
        type(self).deletions += self.lab.watch.deletions
        type(self).refusals += self.lab.outcomes.get("blocked", 0) + self.lab.outcomes.get("called off", 0)
        self.lab.close()
        shutil.rmtree(self.folder)

    @initialize()
    def a_scan_that_is_safe(self) -> None:
        self.new_scan((DATA, ARCHIVE, ALCF), True)

    def scan(self, number: int) -> str:
        return self.scans[number % len(self.scans)]

    def suspect_raw_copies(self) -> list[Replica]:
        return [r for r in self.lab.ledger.replicas.in_state(ReplicaState.SUSPECT) if r.product == "raw"]

    @precondition(lambda self: len(self.scans) < 3)
    @rule(places=st.sampled_from([(DATA, ARCHIVE, ALCF), (DATA, ARCHIVE), (ARCHIVE, ALCF), (DATA,), ()]), job=st.booleans())
    def new_scan(self, places: tuple[str, ...], job: bool) -> None:
        key = f"scan_{len(self.scans)}"
        self.scans.append(key)
        self.lab.new_scan(key, proposal=f"ALS-{len(self.scans) % 2}")
        for place in places:
            self.lab.place_raw(key, place)
        if job:
            self.lab.run_job(key)

    @precondition(lambda self: self.scans)
    @rule(number=st.integers(0, 2), place=st.sampled_from([DATA, ARCHIVE, ALCF]))
    def copy(self, number: int, place: str) -> None:
        self.lab.place_raw(self.scan(number), place)

    @precondition(lambda self: self.scans)
    @rule(number=st.integers(0, 2), recipe=st.booleans())
    def reconstruct(self, number: int, recipe: bool) -> None:
        self.lab.run_job(self.scan(number), recipe=recipe)
        self.lab.place_result(self.scan(number), recipe=recipe)

    @precondition(lambda self: self.scans)
    @rule(number=st.integers(0, 2), place=st.sampled_from([DATA, ARCHIVE]))
    def copy_through_the_service(self, number: int, place: str) -> None:
        self.lab.copy_raw(self.scan(number), place)

    @precondition(lambda self: self.lab.world.blobs)
    @rule(number=st.integers(0, 30), how=st.sampled_from(["gone", "empty", "older", "rot"]))
    def spoil(self, number: int, how: str) -> None:
        paths = sorted(path for path, files in self.lab.world.blobs.items() if files)
        self.lab.world.spoil(paths[number % len(paths)], how)

    @precondition(lambda self: self.scans)
    @rule(number=st.integers(0, 2), proposal=st.booleans(), days=st.none() | st.integers(1, 9))
    def hold(self, number: int, proposal: bool, days: int | None) -> None:
        of = {"proposal": f"ALS-{number % 2}"} if proposal else {"dataset_key": self.scan(number)}
        until = None if days is None else self.lab.clock() + timedelta(days=days)
        self.holds.append(self.lab.ledger.holds.place(who="ada", reason="a history", until=until, **of).id)

    @precondition(lambda self: self.holds)
    @rule()
    def release(self) -> None:
        self.lab.ledger.holds.release(self.holds.pop(), who="ada", reason="a history")

    @rule(number=st.integers(0, len(POLICIES) - 1))
    def policy(self, number: int) -> None:
        self.lab.retention = POLICIES[number]

    @rule(hours=st.integers(1, 30 * 24))
    def time_passes(self, hours: int) -> None:
        self.lab.now += timedelta(hours=hours)

    @rule(hours=st.just(0) | st.integers(-6 * 24, 12 * 24))
    def the_clock_jumps(self, hours: int) -> None:
        self.lab.clock_error = timedelta(hours=hours)

    @rule(fault=st.sampled_from([(name, fault) for name, faults in FAULTS.items() for fault in faults]))
    def service_will_err(self, fault: tuple[str, str]) -> None:
        self.next[fault[0]] = fault[1]

    @rule(site=st.sampled_from(["als", "nersc", "alcf"]), hours=st.integers(1, 12))
    def outage(self, site: str, hours: int) -> None:
        self.lab.world.down[site] = self.lab.now + timedelta(hours=hours)

    @rule(place=st.sampled_from([DATA, ARCHIVE, SPOT]))
    def a_disk_goes(self, place: str) -> None:
        self.lab.world.unmount(place)

    @precondition(lambda self: self.lab.world.unmounted)
    @rule()
    def the_disks_come_back(self) -> None:
        for place in sorted(self.lab.world.unmounted):
            self.lab.world.mount(place)

    @rule(number=st.integers(0, 5))
    def staff_settle(self, number: int) -> None:
        suspect = self.suspect_raw_copies()
        if suspect:
            self.lab.settle(suspect[number % len(suspect)])

    @rule(number=st.integers(0, 5))
    def staff_vouch(self, number: int) -> None:
        right = [r for r in self.suspect_raw_copies() if self.lab.world.intact(f"/{r.location}/{r.path}")]
        if right:
            self.lab.vouch(right[number % len(right)])

    @rule(writes=st.integers(0, 60))
    def prune_and_die(self, writes: int) -> None:
        self.lab.cut_after_writes = writes
        self.lab.prune()

    @rule(days=st.integers(0, 20), nights=st.integers(1, 3))
    def prune(self, days: int, nights: int) -> None:
        self.lab.now += timedelta(days=days)
        for _ in range(nights):  # what one night announces the next one deletes
            self.lab.prune()
            self.lab.now += timedelta(days=1)

    @invariant()
    def never_fewer_than_required_unless_the_world_destroyed_them(self) -> None:
        type(self).steps += 1
        self.lab.watch.hourly()
        assert not self.lab.watch.broken, f"broken: {self.lab.watch.broken}"
