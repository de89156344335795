"""Hashing a copy that this machine cannot read: its bytes are fetched to a scratch folder of ours, hashed there, and removed again.

Here: that detour, the one proof that needs no second copy and can overwrite nothing. Not here: when a copy must be proven
(``retention``), and what follows from the sums (``proving``, ``settling``). It costs the bytes of the copy once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from als_assets.errors import NoVerifiedSource
from als_assets.facility import Facility
from als_assets.facility.models import LocationClass
from als_assets.facility.places import Place
from als_assets.ledger import Ledger, Manifest, Operation, Replica
from als_assets.ledger.acting import Actor, carry_out
from als_assets.transfer.acts import TransferAct
from als_assets.transfer.looking import Looks
from als_assets.transfer.mover import TransferRequest
from als_assets.transfer.posix import files_under
from als_assets.words import size_words

FOLDER = ".als-assets-proofs"
# So much more than the copy itself must be free: others write there too.
_SPARE = 1.1


@dataclass
class FetchAct(TransferAct):
    """A copy to our scratch that is no replica."""

    def request(self) -> dict[str, Any]:
        return {**super().request(), "fetch": True}

    def _what(self) -> str:
        return f"Fetching {self.dataset_key} from {self.todo.source.location_name} to hash it"


@dataclass(frozen=True)
class Fetched:
    """The manifest with the SHA-256 of every file as it lay there at the time ``at``, and evidence."""

    sums: Manifest
    evidence: dict[str, Any]
    at: datetime | None
    by_this_process: bool


class Fetcher:
    """``gate(actor, locations)`` is asked before anything is sent."""

    def __init__(
        self, facility: Facility, ledger: Ledger, looks: Looks, gate: Callable[[Actor, list[str]], Callable[[Operation], None]]
    ) -> None:
        self._facility, self._ledger, self._looks, self._gate = facility, ledger, looks, gate

    def sums(self, actor: Actor, replica: Replica, manifest: Manifest) -> Fetched:
        """Fetch it, or take what a process fetched that died before its sums were on record, and hash. Call ``remove`` when the sums
        are on record: a process that is killed before leaves the bytes to the next one.

        Raises:
            NoVerifiedSource: there is no room to fetch it to.
            AlsError: it could not be fetched.
        """
        inbox = self._inbox(replica, manifest)
        key = _key(replica)
        fetched = files_under(Path(inbox.site_path)) is not None
        after = replica.after_operation if fetched else self._ledger.operations.newest(replica.dataset_key)
        request = TransferRequest(
            dataset_key=replica.dataset_key,
            source=self._looks.place_of(replica),
            destination=inbox,
            is_directory=not manifest.is_single_file,
            label=f"proof of {replica.dataset_key[:60]} at {replica.location}",
        )
        mover = self._looks.mover_between(request.source, inbox)
        act = FetchAct(self._ledger, mover, key, replica.dataset_key, replica.id, request, manifest)
        act.gate = self._gate(actor, [replica.location, inbox.location_name])
        operation = carry_out(self._ledger, actor, act, after=after)
        task = operation.outcome.get("task", {})
        evidence = {"fetched_to": inbox.location_name, "task": task.get("task_id"), "link": operation.outcome.get("link", "")}
        return Fetched(self._looks.sums(inbox, manifest), evidence, operation.finished_at, act.seen is not None)

    def remove(self, replica: Replica) -> None:
        """Remove what was fetched of a copy, and what lies there of copies that nobody is proving."""
        for name in self._inboxes():
            folder = Path(self._looks.place(name, FOLDER).site_path)
            for one in folder.iterdir() if folder.is_dir() else ():
                if one.name == str(replica.id) or (one.name.isdigit() and not self._is_wanted(int(one.name))):
                    shutil.rmtree(one, ignore_errors=True)

    def _is_wanted(self, number: int) -> bool:
        """Whether the last fetch of that copy goes on, or is over and its sums are not on record yet."""
        replica = self._ledger.replicas.get(number)
        last = self._ledger.operations.last(_key(replica))
        return last is not None and last.id > replica.after_operation

    def _inboxes(self) -> list[str]:
        places = self._facility.locations.items()
        return [n for n, at in places if at.mounted and at.collection is not None and at.location_class is LocationClass.SCRATCH]

    def _inbox(self, replica: Replica, manifest: Manifest) -> Place:
        """The scratch folder with the most room; the one of an earlier process first."""
        path = f"{FOLDER}/{replica.id}/{PurePosixPath(replica.path).name}"
        begun = self._ledger.operations.open_with(_key(replica))
        if begun is not None:
            return self._looks.place(begun.request["to"]["location"], begun.request["to"]["path"])
        places = [self._looks.place(name, path) for name in self._inboxes()]
        free = {place.location_name: _free(place) for place in places}
        best = max(places, key=lambda place: free[place.location_name], default=None)
        if best is None or (free[best.location_name] < manifest.size_bytes * _SPARE and files_under(Path(best.site_path)) is None):
            room = f"{best.location_name} has {size_words(free[best.location_name])} free" if best else "no scratch folder is mounted here"
            raise NoVerifiedSource(
                f"The copy {replica.name} could only be proven by fetching its {size_words(manifest.size_bytes)}, and {room}.",
                next_step="Nothing is deleted on the strength of it. Make room there, or keep a copy where this machine can read it.",
            )
        return best


def _free(place: Place) -> int:
    root = Path(place.location.site_root)
    return shutil.disk_usage(root).free if root.is_dir() else 0


def _key(replica: Replica) -> str:
    return f"prove:fetch:{replica.location}:{replica.path}"
