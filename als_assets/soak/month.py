"""A month at the beamline: scans arrive, are copied, reconstructed, brought back and pruned, while everything goes wrong now and then.

Here: in which order things happen, drawn from one seed, and the summary. Not here: the acts (``lab``) and the judgement (``watch``).
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from als_assets.facility.retention import Retention
from als_assets.ledger import Ledger, Replica, ReplicaState
from als_assets.ledger.database import reading, sqlite_url
from als_assets.ledger.products import RAW
from als_assets.soak.lab import Lab
from als_assets.soak.places import ALCF, ARCHIVE, DATA, beamline_policy
from als_assets.transfer.fetching import FOLDER

HOURS = 30 * 24
# Chance of each fault for each event, and of each mishap in an hour (the latter for a month of 5,000 scans).
FAULTS = {
    "transfer": {"fails": 0.01, "corrupt": 0.004, "nothing": 0.004, "answer lost": 0.01, "slow": 0.01, "cut": 0.002},
    "delete": {"fails": 0.04, "kept": 0.04, "answer lost": 0.04, "slow": 0.04, "cut": 0.04, "disk goes": 0.004},
    "call": {"cut": 0.0002, "clock set back": 0.0001},
}
CUT_IN_A_WRITE = 0.004
SPOILT_A_SCAN = 0.02
OUTAGE_AN_HOUR = 0.01
UNMOUNTED_AN_HOUR = 0.005


@dataclass(frozen=True)
class Month:
    scans: int = 5000
    seed: int = 1
    hours: int = HOURS
    policy: Callable[[], Retention] = beamline_policy


@dataclass
class Summary:
    """What a month was like. ``broken`` is empty when every promise was kept."""

    scans: int
    seed: int
    hours: int
    seconds: float = 0.0
    checks: int = 0
    deletions_asked: int = 0
    power_cuts: int = 0
    copies: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    lost_scans: int = 0
    broken: list[str] = field(default_factory=list)

    def plus(self, other: Summary) -> Summary:
        """Both together; the seed and the hours are those of the first."""
        names = ("scans", "seconds", "checks", "deletions_asked", "power_cuts", "lost_scans", "broken")
        changes: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in names}
        for name in ("copies", "outcomes", "faults", "refused"):
            mine, theirs = getattr(self, name), getattr(other, name)
            changes[name] = {key: mine.get(key, 0) + theirs.get(key, 0) for key in {**mine, **theirs}}
        return replace(self, **changes)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def run_month(month: Month, tell: Callable[[str], None] = lambda _sentence: None) -> Summary:
    """Live through it in a folder of its own, and count. ``tell`` hears a sentence for each simulated day."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="als-soak-") as folder:
        life = _Life(month, Path(folder))
        try:
            for hour in range(month.hours):
                life.hour(hour)
                if hour % 24 == 23:
                    tell(f"day {hour // 24 + 1}: {life.lab.watch.deletions} deletions asked for, {len(life.lab.watch.broken)} broken")
            return life.summary(time.monotonic() - began)
        finally:
            life.lab.close()


def run_months(months: Sequence[Month], tell: Callable[[str], None]) -> Summary:
    """Months side by side, each in a process and a world of its own; their summaries added up. A single one stays in this process."""
    if len(months) == 1:
        return run_month(months[0], tell)
    began = time.monotonic()
    with ProcessPoolExecutor(len(months), mp_context=get_context("spawn")) as pool:
        done = list(pool.map(run_month, months))
    total = done[0]
    for other in done[1:]:
        total = total.plus(other)
    return replace(total, seconds=round(time.monotonic() - began, 1))


def open_fast(folder: Path, clock: Callable[[], datetime]) -> Ledger:
    """A record that does not wait for the disk: processes die here, but never the machine."""
    (folder / "state").mkdir()
    url = sqlite_url(folder / "state" / "ledger.sqlite")
    Ledger.open(url).close()
    ledger = Ledger(url, who="soak", clock=clock)
    event.listen(ledger.engine, "connect", lambda connection, _record: connection.execute("PRAGMA synchronous=OFF"))
    return ledger


class _Life:
    """One month."""

    def __init__(self, month: Month, folder: Path) -> None:
        self.month = month
        self.random = random.Random(month.seed)
        self.lab = Lab(folder, open_fast, draw=self._draw, retention=month.policy())
        self.began = self.lab.now
        self.arrivals = sorted(self.random.randrange(max(1, month.hours - 24)) for _ in range(month.scans))
        self.todo: deque[tuple[str, str]] = deque()
        self.keys: list[str] = []
        self.holds: list[int] = []

    def hour(self, hour: int) -> None:
        lab = self.lab
        lab.now = max(lab.now, self.began + timedelta(hours=hour))
        while len(self.keys) < len(self.arrivals) and self.arrivals[len(self.keys)] <= hour:
            self._arrive()
        for _ in range(len(self.todo)):
            self._step(*self.todo.popleft())
        self._mishaps()
        if hour % 24 == 3:
            cuts = lab.power_cuts
            lab.prune()
            if lab.power_cuts > cuts:
                lab.prune()  # the next process finishes what was cut off
            self._staff()
        lab.watch.hourly(everything=hour % 24 == 23)

    def _arrive(self) -> None:
        key = f"scan_{len(self.keys):05d}"
        self.keys.append(key)
        self.lab.new_scan(key, proposal=f"ALS-{len(self.keys) % 40}")
        self.todo += [(key, "data"), (key, "archive")]
        dice = self.random.random()
        self.todo += [(key, step) for step, share in (("job", 0.3), ("back", 0.15), ("alcf", 0.05)) if dice < share]

    def _step(self, key: str, step: str) -> None:
        lab, recipe = self.lab, hash_of(key) % 10 != 0
        if self.random.random() < CUT_IN_A_WRITE:
            lab.cut_after_writes = self.random.randrange(20)
        places = {"data": DATA, "archive": ARCHIVE, "alcf": ALCF}
        if step == "job":
            done = lab.run_job(key, recipe=recipe)
        elif step == "back":
            done = lab.bring_back(key, recipe=recipe)
        else:
            done = lab.copy_raw(key, places[step])
        if not done and self.random.random() < 0.97:  # a few are given up
            self.todo.append((key, step))

    def _mishaps(self) -> None:
        per_hour = self.month.scans * SPOILT_A_SCAN / self.month.hours
        while self.keys and self.random.random() < per_hour / (1 + per_hour):
            paths = [p for p, files in self.lab.world.blobs.items() if files]
            self.lab.world.spoil(self.random.choice(paths), self.random.choice(["gone", "empty", "older", "rot"]))
        if self.random.random() < OUTAGE_AN_HOUR:
            site = self.random.choice(["nersc", "alcf", "als"])
            self.lab.world.down[site] = self.lab.now + timedelta(hours=self.random.randrange(1, 9))
        if self.random.random() < UNMOUNTED_AN_HOUR:
            self.lab.world.unmount(self.random.choice([DATA, ARCHIVE]))
        elif self.lab.world.unmounted and self.random.random() < 0.2:
            self.lab.world.mount(self.random.choice(sorted(self.lab.world.unmounted)))
        if self.random.random() < 0.002:
            self.lab.clock_error = timedelta(hours=self.random.randrange(-240, 240))  # a clock that jumps

    def _staff(self) -> None:
        """Once a day: holds, an edit of the policy, and repairs of what is suspect."""
        lab, now = self.lab, self.lab.clock()
        if self.keys and self.random.random() < 0.3:
            key = self.random.choice(self.keys)
            until = now + timedelta(days=self.random.randrange(1, 20))
            self.holds.append(lab.ledger.holds.place(who="staff", reason="paper", dataset_key=key, until=until).id)
        if self.holds and self.random.random() < 0.2:
            lab.ledger.holds.release(self.holds.pop(), who="staff", reason="done")
        if self.random.random() < 0.1:
            grace = self.random.choice([0.0, 12.0, 24.0])
            lab.retention = self.month.policy().model_copy(update={"grace_hours": grace})
        for replica in lab.ledger.replicas.in_state(ReplicaState.SUSPECT):
            if replica.product != RAW or (self.random.random() < 0.5 and lab.settle(replica)):
                continue
            if lab.world.intact(f"/{replica.location}/{replica.path}") and self.random.random() < 0.3:
                lab.vouch(replica)  # the sum on record was taken of a bad copy, and somebody has looked at this one
            lab.repair(replica.dataset_key)

    def _draw(self, event_name: str) -> str:
        dice = self.random.random()
        for fault, chance in FAULTS[event_name].items():
            if dice < chance:
                return fault
            dice -= chance
        return ""

    def summary(self, seconds: float) -> Summary:
        lab = self.lab
        with reading(lab.ledger.engine) as session:
            rows = session.execute(sa.select(Replica.state, sa.func.count()).group_by(Replica.state))
            copies = {str(state): number for state, number in rows}
        alive = {
            what[0] for path, what in lab.world.owner.items() if what[1] == RAW and f"/{FOLDER}/" not in path and lab.world.intact(path)
        }
        return Summary(
            scans=self.month.scans,
            seed=self.month.seed,
            hours=self.month.hours,
            seconds=round(seconds, 1),
            checks=lab.watch.checks,
            deletions_asked=lab.watch.deletions,
            power_cuts=lab.power_cuts,
            copies=copies,
            outcomes=lab.outcomes,
            faults=dict(sorted(lab.world.faults.items())),
            refused=lab.refused,
            lost_scans=len(self.keys) - len(alive),
            broken=lab.watch.broken,
        )


def hash_of(key: str) -> int:
    """A number of a key that is the same in every process."""
    return int(key.rsplit("_", 1)[-1])
