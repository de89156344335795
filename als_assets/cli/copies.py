"""``als copy``: what a person says about one copy that is in doubt: have it read again, make it anew, vouch for it, or call it lost.

Here: the commands. Not here: what must be true for it (``transfer.settling``), and the doubts themselves (the looks of every day).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from als_assets.cli.common import FacilityOption, WhoOption, actor_for, platform_for, say
from als_assets.errors import AlsError, LedgerError

if TYPE_CHECKING:  # the clients of all services take two seconds to import, and `als --help` needs none
    from als_assets.ledger import Replica
    from als_assets.platform import Platform

app = typer.Typer(no_args_is_help=True, help="A copy in doubt: have it read again, make it anew, vouch for it, or declare it lost.")
KeyArgument = Annotated[str, typer.Argument(help="The scan's key.")]
AtOption = Annotated[str, typer.Option("--at", help="The location of the copy.")]
ProductOption = Annotated[str, typer.Option(help="Of what: raw, recon_tiff, recon_zarr, ...")]
VariantOption = Annotated[str, typer.Option(help="Of other parameters than the standard ones: their digest.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it stays in the history of the scan.")]


@app.command("prove")
def copy_prove(
    key: KeyArgument,
    at: AtOption,
    reason: ReasonOption,
    product: ProductOption = "raw",
    variant: VariantOption = "",
    who: WhoOption = "unknown",
    facility: FacilityOption = None,
) -> None:
    """Read every byte of a copy again (one that this machine cannot see is fetched first). A suspect copy that is what it should be
    counts again; one that is not stays suspect, and the history says what was found."""
    from als_assets.ledger import ReplicaState

    parts = platform_for(facility)
    replica = _copy(parts, key, product, variant, at)
    if replica.state is ReplicaState.VERIFIED:
        proof = parts.transfers.prove_again(actor_for(parts, "als copy"), replica, 0.0)
        say(f"The copy {replica.name} is what it should be: {proof.how}.")
        return
    proven = parts.transfers.settling.prove(actor_for(parts, "als copy"), replica, who=who, reason=reason)
    say(f"The copy {proven.name} is what it should be, and counts again.")


@app.command("replace")
def copy_replace(
    key: KeyArgument,
    at: AtOption,
    reason: ReasonOption,
    product: ProductOption = "raw",
    variant: VariantOption = "",
    who: WhoOption = "unknown",
    facility: FacilityOption = None,
) -> None:
    """Make a suspect or lost copy again from a verified one. What lies there now is overwritten."""
    from als_assets.ledger import ReplicaState

    parts = platform_for(facility)
    replica = _copy(parts, key, product, variant, at)
    if replica.state not in (ReplicaState.SUSPECT, ReplicaState.LOST):
        raise LedgerError(
            f"The copy {replica.name} is {replica.state}; only a suspect or lost one is replaced.", next_step="Nothing to do."
        )
    why = f"{who} has it made again from another copy: {reason}"
    parts.ledger.audit.note(replica.name, why=why, dataset_key=key, evidence={"was": replica.evidence}, who=who)
    receipt = parts.transfers.ensure_replica(actor_for(parts, "als copy"), key, product, at, replica.path, variant)
    say(f"The copy {replica.name} was made again from {receipt.evidence.get('copied_from')}.")


@app.command("adopt")
def copy_adopt(key: KeyArgument, at: AtOption, reason: ReasonOption, who: WhoOption = "unknown", facility: FacilityOption = None) -> None:
    """Say that a suspect raw copy is the raw file, although another SHA-256 is on record (the sum was taken of a bad copy). Every byte
    is read, and its sum counts from now on; copies with the other sum become suspect. No file is touched."""
    parts = platform_for(facility)
    replica = _copy(parts, key, "raw", "", at)
    adopted = parts.transfers.settling.adopt(actor_for(parts, "als copy"), replica, who=who, reason=reason)
    say(f"The copy {adopted.name} is the raw file on record now (SHA-256 {adopted.sha256}).")


@app.command("lost")
def copy_lost(
    at: AtOption,
    reason: ReasonOption,
    key: Annotated[str | None, typer.Argument(help="The scan's key; without it: every copy at the location that is not there.")] = None,
    product: ProductOption = "raw",
    variant: VariantOption = "",
    who: WhoOption = "unknown",
    facility: FacilityOption = None,
) -> None:
    """Say that a copy is lost: it counts for nothing any more. No file is touched. One that is there and whole is refused."""
    parts = platform_for(facility)
    if key is not None:
        lost = parts.transfers.settling.declare_lost(_copy(parts, key, product, variant, at), who=who, reason=reason)
        say(f"The copy {lost.name} is on record as lost.")
        return
    for replica in _vouched_for(parts, at):
        try:
            say(f"{parts.transfers.settling.declare_lost(replica, who=who, reason=reason).name}: lost.")
        except AlsError as refused:
            say(f"{refused.sentence} {refused.next_step}")


def _copy(parts: Platform, key: str, product: str, variant: str, at: str) -> Replica:
    parts.facility.location(at)
    found = parts.ledger.replicas.of(parts.ledger.datasets.get(key).key, product=product, variant=variant, location=at)
    if not found:
        raise LedgerError(
            f"There is no copy of {product} of {key} at {at} on record.", next_step=f"Look where its copies are: als scan show {key}"
        )
    return found[0]


def _vouched_for(parts: Platform, at: str) -> list[Replica]:
    from als_assets.ledger import ReplicaState

    parts.facility.location(at)
    return [r for r in parts.ledger.replicas.at_location(at) if r.state in (ReplicaState.VERIFIED, ReplicaState.SUSPECT)]
