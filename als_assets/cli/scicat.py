"""``als scicat``: try SciCat, record one scan, look at a record, and compare the catalogue with the record of scans.

Here: the commands and what they print. Not here: requests and rights (``catalogue``). ``check``, ``ingest`` and ``show`` need only the part
of a facility file that is about SciCat, and no Dagster.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from als_assets.cli.common import FacilityOption, JsonOption, platform_for, say
from als_assets.facility.load import facility_file

if TYPE_CHECKING:  # the clients are slow to import, and `als --help` needs none
    from als_assets.catalogue.desk import Desk
    from als_assets.catalogue.rights import Right

app = typer.Typer(no_args_is_help=True, help="Try SciCat, record a scan, and compare the catalogue with the record of scans.")

_HELD = {True: "yes", False: "no", None: "not known"}


def _desk(facility: Path | None, *, release: str | None = None) -> Desk:
    from als_assets.catalogue.desk import Desk
    from als_assets.facility.catalogue import load_catalogue_file
    from als_assets.platform import BEAMLINES, EXTRACTORS

    return Desk(load_catalogue_file(facility or facility_file()), BEAMLINES, EXTRACTORS, release)


@app.command("check")
def scicat_check(
    facility: FacilityOption = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Write nothing; some rights cannot be learnt then.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Which SciCat answers, and whether both accounts have the rights they need. Writes one small test record, and deletes it again if
    it may; exit code 1 if a right is missing."""
    from als_assets.catalogue.rights import check_rights

    with _desk(facility) as desk:
        report = check_rights(desk.accounts_for_tests(), write=not read_only)
    if as_json:
        say(json.dumps(report.to_json(), indent=1))
    else:
        say(f"SciCat at {report.api_url}, version {report.version}")
        for account in report.accounts:
            groups = f" in {', '.join(account.groups)}" if account.groups else ""
            say(f"{account.role}: {account.username}{groups}, {'logged in' if account.logged_in else 'not logged in'}")
            for right in account.rights:
                say(f"  {right.name}: {_held(right)} ({right.words})")
        for problem in report.problems:
            say(f"Missing: {problem}")
        if not report.problems:
            say("Every right that the platform needs and that could be looked at is there.")
    if report.problems:
        raise typer.Exit(1)


def _held(right: Right) -> str:
    return _HELD[right.held]


@app.command("ingest")
def scicat_ingest(
    scan: Annotated[Path, typer.Argument(help="The scan file.")],
    facility: FacilityOption = None,
    beamline: str = "bl832",
    below: Annotated[
        Path | None, typer.Option(help="The raw folder that the scan's path is counted from (default: two folders up from the file).")
    ] = None,
    source_folder: Annotated[str, typer.Option(help="The folder where users find the file (default: where it is).")] = "",
    may_leave: Annotated[str | None, typer.Option(help="Why this scan may leave the ALS, if no record says so.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the raw record of one scan file, or complete and correct the one that is there."""
    with _desk(facility, release=may_leave) as desk:
        receipt = desk.ingest(scan, beamline, below=below, source_folder=source_folder)
    if as_json:
        say(json.dumps(receipt.as_json(), indent=1))
        return
    say(f"{'Created' if receipt.created else 'Was there'}: {receipt.pid}")
    say(receipt.url)
    if receipt.patched:
        say(f"Corrected: {', '.join(receipt.patched)}")
    for issue in receipt.issues:
        say(f"Warning: {issue.sentence}")


@app.command("show")
def scicat_show(
    key: Annotated[str, typer.Argument(help="A scan's key or name, an identifier, or a scan file.")],
    facility: FacilityOption = None,
    beamline: str = "bl832",
    as_json: JsonOption = False,
) -> None:
    """What SciCat has of a scan: its record and those of its results."""
    with _desk(facility) as desk:
        records = desk.show(key, beamline)
        if as_json:
            say(json.dumps(records, indent=1))
            return
        for record in records:
            say(_record_table(record, desk.url(record["pid"])))
    if not records:
        say(f"SciCat has no record of {key} that this account may read.")
        raise typer.Exit(1)


def _record_table(record: dict[str, Any], url: str) -> Table:
    lifecycle = record.get("datasetlifecycle") or {}
    copies = (record.get("scientificMetadata") or {}).get("locations") or []
    rows = {
        "identifier": record["pid"],
        "page": url,
        "type": record.get("type"),
        "owner": f"{record.get('owner')} ({record.get('ownerGroup')}), seen by {', '.join(record.get('accessGroups') or [])}",
        "proposal": record.get("proposalId"),
        "taken": record.get("creationTime"),
        "folder": record.get("sourceFolder"),
        "files": f"{record.get('numberOfFiles')}, {record.get('size')} bytes",
        "inputs": ", ".join(record.get("inputDatasets") or []),
        "on disk": lifecycle.get("isOnCentralDisk"),
        "archived": lifecycle.get("archiveStatusMessage"),
        "retrievable": lifecycle.get("retrievable"),
        "copies": "\n".join(f"{copy.get('site')}: {copy.get('path')} ({copy.get('state')})" for copy in copies),
    }
    table = Table("what", str(record.get("datasetName")))
    for name, value in rows.items():
        if value not in (None, ""):
            table.add_row(name, str(value))
    return table


@app.command("reconcile")
def scicat_reconcile(
    facility: FacilityOption = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write what is missing or wrong in SciCat.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the record of scans with SciCat, both ways. Exit code 1 if they differ (after ``--apply``: still differ)."""
    from als_assets.catalogue.delivery import outside_actor

    parts = platform_for(facility)
    reconciler = parts.reconciler()
    findings = reconciler.findings()
    if apply:
        for words in reconciler.repair(findings, outside_actor(parts.ledger, say)):
            say(words) if not as_json else None
        findings = reconciler.findings()
    if as_json:
        say(json.dumps([finding.to_json() for finding in findings], indent=1))
    for finding in findings if not as_json else []:
        say(f"{finding.kind}: {finding.sentence}")
    if findings:
        raise typer.Exit(1)
    if not as_json:
        say("SciCat and the record of scans agree.")
