"""Whether Globus accepts our identities, read from the record: no request is made for it.

Here: one line for each role. Not here: showing or alerting (``board``, ``defs``), and what a rejected identity leaves undone: its
operations stay as intents and go on when the secret is mended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from als_assets.facility import Facility
from als_assets.ledger import Ledger, OperationKind

# A refusal older than this, with nothing tried since, says nothing about today.
_WINDOW = timedelta(days=7)


@dataclass(frozen=True)
class IdentityHealth:
    """``since`` is the moment of the first refusal after the last success; ``waiting`` counts the operations that it holds up."""

    identity: str
    ok: bool
    sentence: str
    next_step: str = ""
    since: datetime | None = None
    waiting: int = 0


def identities_health(facility: Facility, ledger: Ledger) -> list[IdentityHealth]:
    """The identities that copy and that delete, in that order."""
    now = ledger.clock()
    found = []
    for name, kind in ((facility.globus.mover, OperationKind.TRANSFER), (facility.globus.pruner, OperationKind.DELETE)):
        operations = ledger.operations.recent([kind], now - _WINDOW)
        worked = max((o.submitted_at for o in operations if o.submitted_at is not None), default=None)
        refusals = [refused for o in operations if o.finished_at is None and (refused := o.handle.get("refused"))]
        refusals = [r for r in refusals if worked is None or datetime.fromisoformat(r["at"]) > worked]
        if refusals:
            first = min(datetime.fromisoformat(r["at"]) for r in refusals)
            found.append(IdentityHealth(name, False, refusals[-1]["sentence"], refusals[-1]["next_step"], first, len(refusals)))
        else:
            found.append(
                IdentityHealth(name, True, f"Globus accepts the identity '{name}'." if worked else f"'{name}' was not used lately.")
            )
    return found
