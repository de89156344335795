"""Where replicas lie, who moves them, and whether they still are what the record says.

Here: places, the choice of the mover, listings and SHA-256 sums of what this machine can read. Not here: copying (``ensure``), proofs
over the network (``proving``) and deleting (``deleting``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from als_assets.errors import ServiceUnreachable, TransferFailed
from als_assets.facility import Facility
from als_assets.facility.models import MoverKind
from als_assets.facility.places import Place
from als_assets.ledger import Ledger, Manifest, Replica, ReplicaState
from als_assets.ledger.products import RAW
from als_assets.transfer.mover import FileFacts, Mover, away, sizes
from als_assets.transfer.posix import sha256_of

# Nothing need be there of a copy in these states, so that even a new and empty disk tells the truth about it.
_MAY_BE_ABSENT = (ReplicaState.EXPECTED, ReplicaState.COPYING, ReplicaState.DELETED, ReplicaState.LOST)


class Looks:
    """``movers`` are by role: "mover" copies through Globus, "pruner" deletes there, "posix" does both on mounted folders."""

    def __init__(self, facility: Facility, ledger: Ledger, movers: Mapping[str, Mover]) -> None:
        self._facility, self._ledger, self._movers = facility, ledger, movers

    def place(self, location_name: str, path: str) -> Place:
        return Place(location_name, self._facility.location(location_name), path)

    def place_of(self, replica: Replica) -> Place:
        return self.place(replica.location, replica.path)

    def mover_at(self, place: Place) -> Mover:
        """Who looks there. A mounted folder is looked at directly: no request, and no other party's word for it."""
        on_this_machine = place.location.mover is MoverKind.POSIX or place.location.mounted
        return self._movers["posix" if on_this_machine else "mover"]

    def deleter_at(self, place: Place) -> Mover:
        return self._movers["posix" if place.location.mover is MoverKind.POSIX else "pruner"]

    def mover_between(self, source: Place, destination: Place) -> Mover:
        if MoverKind.POSIX not in (source.location.mover, destination.location.mover):
            return self._movers["mover"]
        if source.location.mounted and destination.location.mounted:
            return self._movers["posix"]
        raise TransferFailed(
            f"No mover connects {source.location_name} and {destination.location_name}.",
            next_step="Give both a Globus collection in the facility file, or mount both here.",
        )

    def listing(self, replica: Replica) -> dict[str, int] | None:
        """What lies there now; None where nothing does.

        Raises:
            LocationAway: nothing is seen of the whole location, although this copy shall be there.
        """
        return sizes(self.files(replica))

    def files(self, replica: Replica) -> dict[str, FileFacts] | None:
        """As ``listing``, with more than sizes."""
        place = self.place_of(replica)
        found = self.mover_at(place).files(place)
        if found is None and replica.state not in _MAY_BE_ABSENT:
            self.require_seen(place)
        return found

    def require_seen(self, place: Place) -> None:
        """Raises LocationAway when nothing is seen of the place's location."""
        if self.mover_at(place).is_away(place):
            raise away(place)

    def require_writable(self, place: Place) -> None:
        """Before something is written to a folder that this machine sees: copies are on record there, so an empty root is no disk.

        Raises:
            LocationAway: it would be written to what lies below the disk.
        """
        if place.location.mounted and self.mover_at(place).is_away(place) and self._ledger.replicas.any_verified_at(place.location_name):
            raise away(place)

    def still_there(self, replica: Replica) -> bool:
        """Compare a verified replica with its manifest once more; one that disagrees becomes SUSPECT."""
        found = self.listing(replica)
        wrong = ["nothing is there"] if found is None else manifest_of(replica).differences(found)
        if wrong:
            self.suspect(replica, "; ".join(wrong))
        return not wrong

    def holds(self, replica: Replica, known: Manifest) -> bool:
        """Read every byte of a replica that this machine sees, and compare; one that disagrees becomes SUSPECT. Raises as ``sums``."""
        wrong = other_sums(known, self.sums(self.place_of(replica), known))
        if wrong:
            self.suspect(replica, f"{wrong[0]} has another SHA-256 than the one on record")
        return not wrong

    def suspect(self, replica: Replica, why: str) -> None:
        self._ledger.replicas.move(replica.id, ReplicaState.SUSPECT, why=f"looked again: {why}")

    def wanted(self, replica: Replica) -> Manifest:
        """The manifest of a replica, where it is a raw file with the SHA-256 that is known of any copy of it."""
        manifest = manifest_of(replica)
        if replica.product != RAW or not manifest.is_single_file or has_sums(manifest):
            return manifest
        return Manifest((replace(manifest.entries[0], sha256=self._ledger.replicas.raw_sha256(replica.dataset_key)),))

    def sums(self, place: Place, manifest: Manifest) -> Manifest:
        """The manifest with the SHA-256 of every file, read now, in blocks, from a folder that this machine sees.

        Raises:
            ServiceUnreachable: a file cannot be read; this says nothing about its bytes.
        """
        top, entries = Path(place.site_path), []
        for entry in manifest.entries:
            file = top / entry.path if entry.path else top
            try:
                entries.append(replace(entry, sha256=sha256_of(file)))
            except OSError as error:
                raise ServiceUnreachable(
                    f"{file} cannot be read ({error.strerror}).", next_step="Check the disk and the rights, then try again."
                ) from error
        return Manifest.of(entries)


def manifest_of(replica: Replica) -> Manifest:
    return replica.manifest or Manifest.single(replica.size_bytes or 0, replica.sha256)


def has_sums(manifest: Manifest) -> bool:
    return all(entry.sha256 for entry in manifest.entries)


def other_sums(wanted: Manifest, found: Manifest) -> list[str]:
    """The files whose known SHA-256 is not the one that was found."""
    sums = {entry.path: entry.sha256 for entry in found.entries}
    return [entry.path or "the file" for entry in wanted.entries if entry.sha256 and sums.get(entry.path) != entry.sha256]
