"""``als scan``: look at scans, announce them, and say where they may go.

Here: the commands and their tables. Not here: the record itself (``ledger``), the intake, and keeping copies (``als hold``).
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from als_assets.cli.common import FacilityOption, JsonOption, WhoOption, platform_for, say
from als_assets.cli.picks import set_parameter
from als_assets.words import size_words

if TYPE_CHECKING:  # the record's libraries are slow to import, and `als --help` needs none
    from als_assets.ledger import Dataset, Ledger

app = typer.Typer(no_args_is_help=True, help="Look at scans, announce them, and say where they may go.")
app.command("set-parameter")(set_parameter)


@app.command("list")
def scan_list(facility: FacilityOption = None, limit: int = 50, as_json: JsonOption = False) -> None:
    """The newest scans, and the files that are no scans (yet)."""
    ledger = platform_for(facility).ledger
    datasets, sightings = ledger.datasets.list(limit=limit), ledger.sightings.list()
    if as_json:
        rows = [_dataset_json(ledger, d) for d in datasets]
        say(json.dumps({"scans": rows, "files": [{"path": s.path, "problem": s.problem} for s in sightings]}, indent=1))
        return
    table = Table("scan", "proposal", "size", "copies verified", "admitted (UTC)")
    for dataset in datasets:
        copies = ", ".join(r.location for r in ledger.replicas.of(dataset.key, product="raw") if r.state == "verified")
        table.add_row(
            dataset.key, dataset.proposal or "unknown", size_words(dataset.size_bytes), copies, f"{dataset.admitted_at:%Y-%m-%d %H:%M}"
        )
    say(table)
    for sighting in sightings:
        say(f"Not a scan yet: {sighting.path}: {sighting.problem or 'still being written'} {sighting.next_step or ''}".rstrip())


@app.command("show")
def scan_show(key: str, facility: FacilityOption = None, as_json: JsonOption = False) -> None:
    """Where every copy of a scan is, and what was done with it."""
    parts = platform_for(facility)
    dataset = parts.ledger.datasets.get(key)
    if as_json:
        say(json.dumps(_dataset_json(parts.ledger, dataset), indent=1))
        return
    say(f"{dataset.key}: {dataset.raw_path}, {size_words(dataset.size_bytes)}, proposal {dataset.proposal or 'unknown'}")
    say(f"May leave the ALS: {'yes' if dataset.may_leave else 'no'} ({dataset.release_reason})")
    table = Table("product", "where", "state", "size", "verified (UTC)")
    for r in parts.ledger.replicas.of(key):
        when = f"{r.verified_at:%Y-%m-%d %H:%M:%S}" if r.verified_at else ""
        table.add_row(r.product, f"{r.location}: {r.path}", r.state, size_words(r.size_bytes), when)
    say(table)
    for operation in parts.ledger.operations.of(key):
        words = operation.outcome.get("sentence") or operation.handle.get("progress") or ""
        say(f"{operation.created_at:%H:%M:%S} {operation.kind} {operation.state}: {operation.key} {words}")
    say(f"{parts.facility.board_url}/scan/{key}")


def _dataset_json(ledger: Ledger, dataset: Dataset) -> dict[str, Any]:
    copies = [
        {"product": r.product, "location": r.location, "path": r.path, "state": r.state, "bytes": r.size_bytes, "sha256": r.sha256}
        for r in ledger.replicas.of(dataset.key)
    ]
    return {"key": dataset.key, "file": dataset.raw_path, "proposal": dataset.proposal, "may_leave": dataset.may_leave, "copies": copies}


@app.command("announce")
def scan_announce(
    path: Annotated[
        str, typer.Argument(help="The file, as the beamline names it (/global/raw/<folder>/<file>.h5) or below the raw folder.")
    ],
    facility: FacilityOption = None,
    beamline: str = "bl832",
) -> None:
    """Say that a file is complete. It is admitted at once, without waiting until it lies still; its run starts at the next tick."""
    parts = platform_for(facility)
    intake = parts.intake(beamline)
    relative = PurePosixPath(path)
    if relative.is_absolute() and relative.is_relative_to(intake.root):
        relative = relative.relative_to(intake.root)
    dataset = intake.consider(relative, parts.settings(beamline).settings, announced=True)
    say(f"Admitted as {dataset.key}." if dataset else "It is a scan already; nothing was done.")


@app.command("flag")
def scan_flag(key: str, reason: Annotated[str, typer.Option(help="Why it must stay.")], facility: FacilityOption = None) -> None:
    """Keep a scan at the ALS from now on: nothing about it is sent anywhere else."""
    platform_for(facility).ledger.datasets.set_release(key, may_leave=False, reason=reason)
    say(f"{key} stays at the ALS.")


@app.command("release")
def scan_release(key: str, reason: Annotated[str, typer.Option(help="Why it may leave.")], facility: FacilityOption = None) -> None:
    """Allow a scan to leave the ALS."""
    platform_for(facility).ledger.datasets.set_release(key, may_leave=True, reason=reason)
    say(f"{key} may leave the ALS. Materialize the missing assets of its partition in Dagster.")


@app.command("pin")
def scan_pin(
    key: str,
    site: Annotated[str, typer.Argument(help="Name of the site, as in the facility file.")],
    reason: Annotated[str, typer.Option(help="Why there.")],
    who: WhoOption = "unknown",
    facility: FacilityOption = None,
) -> None:
    """Compute a scan at this site and nowhere else. It waits while the site cannot; export control wins."""
    parts = platform_for(facility)
    parts.compute.setup(site)
    dataset = parts.ledger.datasets.get(key)
    parts.ledger.placing.pin(dataset.key, site, who=who, reason=reason)
    say(f"{dataset.key} is computed at {site} from now on. Materialize recon_tiff of its partition if it was computed before.")


@app.command("unpin")
def scan_unpin(key: str, who: WhoOption = "unknown", facility: FacilityOption = None) -> None:
    """Let the platform choose the site of a scan again."""
    parts = platform_for(facility)
    removed = parts.ledger.placing.unpin(parts.ledger.datasets.get(key).key, who=who)
    say(f"{key} is not pinned any more." if removed else f"{key} was not pinned.")
