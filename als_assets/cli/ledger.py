"""``als ledger``: is the record what its own audit says, and making it so again.

Here: the commands. Not here: the comparison and the repair (``ledger.rebuild``).
"""

from __future__ import annotations

from typing import Annotated

import typer

from als_assets.cli.common import FacilityOption, WhoOption, platform_for, say

app = typer.Typer(no_args_is_help=True, help="Check the record against its audit, and repair it.")


@app.command()
def check(facility: FacilityOption = None) -> None:
    """Compare every copy on record with the audit; exit code 1 where one differs. Nothing is changed."""
    from als_assets.ledger.rebuild import differences

    found = differences(platform_for(facility).ledger.engine)
    for difference in found:
        say(difference.sentence)
    say(f"{len(found)} copies differ from the audit." if found else "Every copy on record is what the audit says.")
    raise typer.Exit(1 if found else 0)


@app.command()
def rebuild(
    facility: FacilityOption = None,
    who: WhoOption = "unknown",
    sure: Annotated[bool, typer.Option("--yes", help="Do it; without this the command only shows what it would do.")] = False,
) -> None:
    """Make the table of copies anew from the audit. It says what was known, not what is there: reconcile afterwards."""
    from als_assets.ledger.rebuild import differences
    from als_assets.ledger.rebuild import rebuild as make_anew

    ledger = platform_for(facility).ledger
    found = make_anew(ledger.engine, ledger.audit, who=who) if sure else differences(ledger.engine)
    for difference in found:
        say(difference.sentence)
    if not found:
        say("Every copy on record is what the audit says; nothing to do.")
    elif sure:
        say(f"{sum(d.repairable for d in found)} copies were made anew.")
    else:
        say("Nothing was changed. To make these copies anew: als ledger rebuild --yes")
