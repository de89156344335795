"""The laboratory: the real record, transfer service and retention in a world of its own, driven act by act.

Here: what can happen (scans, copies, products, pruning, holds, faults, time), each act by a process of its own that may die at any
write or request. Not here: in which order things happen (``month``, and the state machine of the tests), and the judgement (``watch``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from als_assets.errors import AlsError
from als_assets.facility import ExportGate, Release
from als_assets.facility.retention import Retention
from als_assets.ledger import Audit, Ledger, Manifest, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.ledger.database import reading
from als_assets.ledger.datasets import NewDataset
from als_assets.ledger.manifest import Entry
from als_assets.ledger.products import RAW, STAGED_RAW, ZARR
from als_assets.retention import Pruned, prune
from als_assets.soak.places import ARCHIVE, BEAMLINE, DATA, RESULTS, SCRATCH, SPOT, STAGED, beamline_policy, soak_facility
from als_assets.soak.watch import Watch
from als_assets.soak.world import Files, PowerCut, World
from als_assets.transfer import Mover, TransferService

BEGIN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@dataclass
class Lab:
    """One world with its platform. ``open_ledger(folder, clock)`` gives the record; ``draw`` decides about faults.

    ``now`` is the true time, by which the world lives; the platform's clock is wrong by ``clock_error`` and may be set back.
    """

    folder: Path
    open_ledger: Callable[[Path, Callable[[], datetime]], Ledger]
    draw: Callable[[str], str] = lambda _event: ""
    now: datetime = BEGIN
    clock_error: timedelta = timedelta(0)
    retention: Retention = field(default_factory=beamline_policy)
    cut_after_writes: int | None = None
    outcomes: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    power_cuts: int = 0

    def __post_init__(self) -> None:
        self.facility = soak_facility(self.folder)
        self.ledger = self.open_ledger(self.folder, self.clock)
        self._begins = self._write_begins
        event.listen(self.ledger.engine, "begin", self._begins)
        self.world = World(self.facility, self._tick, lambda name: self.draw(name), self.set_clock_back, self._newest_audit)
        self.watch = Watch(self.facility, self.ledger, self.world, lambda: self.retention)
        self.world.on_delete, self.world.on_passed_on = self.watch.deleting, self.watch.passed_on
        gate = ExportGate(self.facility, lambda _key: Release(True, "a soak"))
        movers: dict[str, Mover] = dict.fromkeys(("mover", "pruner", "posix"), self.world)
        self.transfers = TransferService(self.facility, self.ledger, gate, movers)
        self._runs = count(1)

    def close(self) -> None:
        event.remove(self.ledger.engine, "begin", self._begins)
        self.ledger.close()

    def clock(self) -> datetime:
        """What the platform takes for the time."""
        return self._tick() + self.clock_error

    def _tick(self) -> datetime:
        """The true time. No two looks at it are at the same moment."""
        self.now += timedelta(milliseconds=1)
        return self.now

    def set_clock_back(self) -> None:
        self.clock_error -= timedelta(hours=2)

    def _newest_audit(self) -> int:
        with reading(self.ledger.engine) as session:
            return session.scalar(sa.select(sa.func.max(Audit.id))) or 0

    def _write_begins(self, connection: sa.Connection) -> None:
        if self.cut_after_writes is None or not connection.get_execution_options().get("als_write", False):
            return
        self.cut_after_writes -= 1
        if self.cut_after_writes < 0:
            self.cut_after_writes = None
            raise PowerCut

    # --- acts ------------------------------------------------------------------------------------------------------------

    def act(self, work: Callable[[Actor], object]) -> bool:
        """One process does some work. It may die (then False), and it may find that it cannot (then False)."""
        actor = Actor(f"run{next(self._runs)}", lambda _run: True, self._wait)
        try:
            work(actor)
        except PowerCut:
            self.power_cuts += 1
            return False
        except AlsError as error:
            name = type(error).__name__
            self.refused[name] = self.refused.get(name, 0) + 1
            return False
        finally:
            self.cut_after_writes = None
        return True

    def _wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def new_scan(self, key: str, proposal: str = "ALS-1") -> None:
        path, content = f"{proposal}/{key}.h5", f"the raw file of {key}".encode()
        self.world.truth[(key, RAW, "")] = {"": content}
        self.world.put(self.world.place(SPOT, path), (key, RAW, ""), {"": content})
        new = NewDataset(key, BEAMLINE, proposal, f"{key}.h5", proposal, len(content), self.now, True, "a soak", SPOT, path)
        self.ledger.datasets.admit(new)

    def copy_raw(self, key: str, location: str) -> bool:
        dataset = self.ledger.datasets.get(key)
        return self.act(lambda actor: self.transfers.ensure_replica(actor, key, RAW, location, dataset.raw_path))

    def place_raw(self, key: str, location: str) -> None:
        """A raw copy that was made and proven, without the work of making it."""
        path = self.ledger.datasets.get(key).raw_path
        row = self.ledger.replicas.expect(key, RAW, location, path)
        if row.state is ReplicaState.EXPECTED:
            self._proven(row, RAW, "", self.world.truth[(key, RAW, "")], {})

    def place_result(self, key: str, *, recipe: bool = True) -> None:
        """A result that was brought back and proven, without the work of it."""
        variant = self._variant(recipe)
        row = self.ledger.replicas.expect(key, ZARR, RESULTS, f"{key}/rec{variant}", variant)
        if row.state is ReplicaState.EXPECTED and (key, ZARR, variant) in self.world.truth:
            self._proven(row, ZARR, variant, self.world.truth[(key, ZARR, variant)], {})

    def run_job(self, key: str, *, recipe: bool = True) -> bool:
        """A job copies the raw file to its scratch and leaves its result there."""

        def work(_actor: Actor) -> None:
            self._stage(key)
            self._make_product(key, recipe=recipe)

        return self.act(work)

    def _stage(self, key: str) -> None:
        raw = self.world.truth[(key, RAW, "")]
        self._made(key, STAGED_RAW, "", STAGED, self.ledger.datasets.get(key).raw_path, raw, {})

    def _make_product(self, key: str, *, recipe: bool) -> None:
        """Without a recipe nobody could make it again."""
        files = {f"{i}.tiff": f"slice {i} of {key}".encode() for i in range(2)}
        evidence = {"parameters": "{}", "report": {"image": f"microct@sha256:{'0' * 64}"}} if recipe else {}
        self._made(key, ZARR, self._variant(recipe), SCRATCH, f"{key}/rec{self._variant(recipe)}", files, evidence)

    def bring_back(self, key: str, *, recipe: bool = True) -> bool:
        variant = self._variant(recipe)
        path = f"{key}/rec{variant}"
        return self.act(lambda actor: self.transfers.ensure_replica(actor, key, ZARR, RESULTS, path, variant))

    def _variant(self, recipe: bool) -> str:
        return "" if recipe else "no-recipe"

    def _made(self, key: str, product: str, variant: str, location: str, path: str, files: Files, evidence: dict[str, Any]) -> None:
        row = self.ledger.replicas.expect(key, product, location, path, variant)
        if row.state is ReplicaState.EXPECTED:
            self.world.truth[(key, product, variant)] = files
            self._proven(row, product, variant, files, evidence)

    def _proven(self, row: Replica, product: str, variant: str, files: Files, evidence: dict[str, Any]) -> None:
        self.world.put(self.world.place(row.location, row.path), (row.dataset_key, product, variant), files)
        known = self.facility.location(row.location).mounted
        manifest = Manifest.of(Entry(name, len(data), sha256(data).hexdigest() if known else None) for name, data in files.items())
        self.ledger.replicas.verified(row.id, manifest, why="it was made", evidence=dict(evidence), sha256=manifest.sha256)

    def prune(self) -> list[Pruned]:
        """One round of the prune job. What it did until it died is in the record."""
        done: list[Pruned] = []
        self.act(lambda actor: done.extend(prune(self.facility, self.retention, self.ledger, self.transfers, actor)))
        for pruned in done:
            self.outcomes[pruned.outcome] = self.outcomes.get(pruned.outcome, 0) + 1
        return done

    def raw_copies(self, key: str) -> list[Replica]:
        return list(self.ledger.replicas.of(key, product=RAW))

    def repair(self, key: str) -> None:
        """What staff do about a copy that is suspect or missing: they have it made again."""
        for location in (DATA, ARCHIVE):
            self.copy_raw(key, location)

    def settle(self, replica: Replica) -> bool:
        """What staff do about a copy that is suspect: they have every byte of it read again."""
        return self.act(lambda actor: self.transfers.settling.prove(actor, replica, who="staff", reason="a soak"))

    def vouch(self, replica: Replica) -> bool:
        """What staff do about a raw copy that the record doubts and that they have looked at: they say that it is the raw file."""
        return self.act(lambda actor: self.transfers.settling.adopt(actor, replica, who="staff", reason="a soak"))
