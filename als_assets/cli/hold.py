"""``als hold``, ``als release``, ``als extend``: keep every copy of a scan or of a whole proposal, and let it go again.

Here: the commands. Not here: the record of holds (``ledger``), and permission to leave the ALS (``als scan release``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from als_assets.cli.common import FacilityOption, WhoOption, platform_for, say
from als_assets.errors import LedgerError

if TYPE_CHECKING:
    from als_assets.ledger import Hold, Ledger

DatasetArgument = Annotated[str | None, typer.Argument(help="The scan's key (or --proposal).")]
ProposalOption = Annotated[str | None, typer.Option(help="All scans of this proposal, also future ones.")]
ReasonOption = Annotated[str, typer.Option(help="Why; staff read it in the plan.")]
UntilOption = Annotated[datetime | None, typer.Option(help="Last day (UTC); without it: until it is released.")]


def hold(
    reason: ReasonOption,
    dataset: DatasetArgument = None,
    proposal: ProposalOption = None,
    until: UntilOption = None,
    who: WhoOption = "unknown",
    facility: FacilityOption = None,
) -> None:
    """Keep every copy: a hold wins over every deletion policy, also over a deletion that was announced."""
    ledger = platform_for(facility).ledger
    _one_of(dataset, proposal)
    placed = ledger.holds.place(who=who, reason=reason, dataset_key=dataset, proposal=proposal, until=_utc(until))
    say(f"{placed.subject} is held{_words(placed)}: no copy is deleted.")


def release(
    reason: ReasonOption,
    dataset: DatasetArgument = None,
    proposal: ProposalOption = None,
    who: WhoOption = "unknown",
    facility: FacilityOption = None,
) -> None:
    """End every hold on a scan or proposal; the deletion policy applies again. (To let a scan leave the ALS: als scan release.)"""
    ledger = platform_for(facility).ledger
    for found in _holds(ledger, dataset, proposal):
        ledger.holds.release(found.id, who=who, reason=reason)
        say(f"The hold of {found.who} on {found.subject} has ended.")


def extend(
    reason: ReasonOption,
    until: UntilOption = None,
    dataset: DatasetArgument = None,
    proposal: ProposalOption = None,
    who: WhoOption = "unknown",
    facility: FacilityOption = None,
) -> None:
    """Let the holds on a scan or proposal end at another time."""
    ledger = platform_for(facility).ledger
    for found in _holds(ledger, dataset, proposal):
        extended = ledger.holds.extend(found.id, _utc(until), who=who, reason=reason)
        say(f"The hold of {found.who} on {found.subject} lasts{_words(extended)}.")


def _one_of(dataset: str | None, proposal: str | None) -> None:
    if (dataset is None) == (proposal is None):
        raise typer.BadParameter("name either a scan or --proposal")


def _holds(ledger: Ledger, dataset: str | None, proposal: str | None) -> list[Hold]:
    _one_of(dataset, proposal)
    found = [h for h in ledger.holds.in_force() if (h.dataset_key, h.proposal) == (dataset, proposal)]
    if not found:
        what = f"scan {dataset}" if dataset else f"proposal {proposal}"
        raise LedgerError(
            f"No hold is in force on {what}.", next_step="Nothing to do. A scan may be held through its proposal: als scan show"
        )
    return found


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)


def _words(placed: Hold) -> str:
    return f" until {placed.until:%Y-%m-%d %H:%M} UTC" if placed.until else " until it is released"
