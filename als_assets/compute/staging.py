"""The copy of the raw file that a job makes next to its work: on record before the job and proven after it, so that it can be pruned.

Here: the replica ``staged_raw`` around a job. Not here: the copying (the script does it, with a check of the size) and the pruning
(``retention``). A copy that was pruned is staged again by the next job's script; one that is being deleted is waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from als_assets.compute.transport import Transport
from als_assets.errors import JobError
from als_assets.facility.places import Place
from als_assets.ledger import Dataset, Ledger, Manifest, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.ledger.products import STAGED_RAW

_DELETION_TAKES_S = 300.0
_LOOK_S = 2.0


@dataclass(frozen=True)
class Staging:
    """The staged copy of one scan at one place."""

    ledger: Ledger
    transport: Transport
    dataset: Dataset
    place: Place

    def expect(self, actor: Actor) -> Replica:
        """On record that a job will read (and may write) it: nothing in state COPYING is pruned.

        Raises:
            JobError: it is being deleted, and that does not end.
        """
        waited = 0.0
        while (row := self._row()).state is ReplicaState.DELETING:
            if waited >= _DELETION_TAKES_S:
                raise JobError(
                    f"The staged copy {row.name} is being deleted, and the deletion does not end.",
                    next_step="Wait for the deletion, then re-execute from failure.",
                )
            actor.wait(_LOOK_S)
            waited += _LOOK_S
        return self.ledger.replicas.move(row.id, ReplicaState.COPYING, why="a job reads it, and copies it there first if need be")

    def _row(self) -> Replica:
        return self.ledger.replicas.expect(self.dataset.key, STAGED_RAW, self.place.location_name, self.place.path)

    def settle(self, row: Replica) -> Replica:
        """After the job, however it ended: VERIFIED if the size is right, else not there. Nothing is said while the site is silent."""
        if self.ledger.replicas.get(row.id).state is not ReplicaState.COPYING:
            return row  # another job's end has settled it
        found = self.transport.listing(PurePosixPath(self.place.site_path))
        if found == {"": self.dataset.size_bytes}:
            evidence = {"size_bytes": self.dataset.size_bytes, "how": "the size at the site is that of the scan"}
            manifest = Manifest.single(self.dataset.size_bytes)
            return self.ledger.replicas.verified(row.id, manifest, why="a job copied it to the site's scratch", evidence=evidence)
        return self.ledger.replicas.move(row.id, ReplicaState.EXPECTED, why="the job left no whole copy there")
