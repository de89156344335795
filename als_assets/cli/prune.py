"""``als prune``: what will be deleted and why, doing it, and comparing the record with what lies there.

Here: the commands and their tables. Not here: the rules and the deletions (``retention``).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from als_assets.cli.common import FacilityOption, JsonOption, actor_for, platform_for, say
from als_assets.words import size_words

if TYPE_CHECKING:  # the record's libraries are slow to import, and `als --help` needs none
    from als_assets.facility.retention import Retention
    from als_assets.platform import Platform
    from als_assets.retention import PlanLine

app = typer.Typer(no_args_is_help=True, help="The deletion plan: look at it, try another policy, carry it out.")
BeamlineOption = Annotated[str, typer.Option(help="Whose policy.")]
HORIZON = timedelta(days=14)


@app.command("plan")
def prune_plan(
    facility: FacilityOption = None,
    explain: Annotated[str | None, typer.Option(help="Only this scan, every copy of it, with what keeps it.")] = None,
    at: Annotated[datetime | None, typer.Option(help="As it would be at that moment (UTC), if nothing else changed.")] = None,
    policy: Annotated[Path | None, typer.Option(help="A file with another policy: a settings file, or its table 'retention'.")] = None,
    beamline: BeamlineOption = "bl832",
    as_json: JsonOption = False,
) -> None:
    """What goes in the next 14 days, and what is due but kept. Nothing is changed by looking."""
    from als_assets.retention import explained, plan, snapshot_of
    from als_assets.retention.space import mounted_space

    parts = platform_for(facility)
    moment = parts.ledger.clock() if at is None else at.replace(tzinfo=UTC)
    rules = _policy(parts, beamline, policy)
    snapshot = snapshot_of(parts.ledger, mounted_space(parts.facility))
    if explain is not None:
        key = parts.ledger.datasets.get(explain).key
        for words in explained(parts.facility, rules, parts.ledger, snapshot, key, moment):
            say(words)
        return
    lines = [line for line in plan(parts.facility, rules, snapshot, moment) if line.due <= moment + HORIZON]
    if as_json:
        say(json.dumps([{**asdict(line), "due": line.due.isoformat(), "announced_at": str(line.announced_at or "")} for line in lines]))
        return
    say(_table(lines, moment))
    ready = [line for line in lines if line.ready(moment) or line.waits_for_proof(moment)]
    say(f"Due: {len(ready)} copies, {size_words(sum(line.size_bytes for line in ready))}. Retention is {'on' if rules.enabled else 'OFF'}.")


def _policy(parts: Platform, beamline: str, path: Path | None) -> Retention:
    from als_assets.facility.load import load_model
    from als_assets.facility.retention import Retention
    from als_assets.facility.settings import Settings

    if path is None:
        return parts.settings(beamline).settings.retention
    whole = path.exists() and any(line.startswith("retention:") for line in path.read_text().splitlines())
    return load_model(path, Settings).retention if whole else load_model(path, Retention)


def _table(lines: list[PlanLine], now: datetime) -> Table:
    table = Table("goes (UTC)", "scan", "what", "where", "size", "why")
    for line in lines:
        late = line.ready(now) or line.waits_for_proof(now)
        when = "now" if late else f"{line.due:%Y-%m-%d %H:%M}" if not line.kept_because else "kept"
        table.add_row(when, line.dataset_key, line.what, line.location, size_words(line.size_bytes), line.kept_because or line.why)
    return table


@app.command("run")
def prune_run(
    facility: FacilityOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    beamline: BeamlineOption = "bl832",
) -> None:
    """Announce what is due, and delete what was announced long enough ago, with fresh proof. The schedule does this every night."""
    from als_assets.retention import prune
    from als_assets.retention.space import mounted_space

    parts = platform_for(facility)
    rules = parts.settings(beamline).settings.retention
    if not rules.enabled:
        say("Retention is switched off in the settings: nothing is deleted.")
        return
    actor = actor_for(parts, "als prune run")
    space = mounted_space(parts.facility)
    done = prune(parts.facility, rules, parts.ledger, parts.transfers, actor, dry_run=dry_run, free_bytes=space)
    for pruned in done:
        say(f"{pruned.dataset_key} {pruned.what} at {pruned.location}: {pruned.outcome}. {pruned.words}")
    say(f"{len(done)} copies looked at." if done else "Nothing is due.")
    raise typer.Exit(1 if any(pruned.outcome == "blocked" for pruned in done) else 0)


@app.command("reconcile")
def prune_reconcile(
    facility: FacilityOption = None,
    location: Annotated[list[str] | None, typer.Option(help="Only this location (may be given several times).")] = None,
    beamline: BeamlineOption = "bl832",
    as_json: JsonOption = False,
) -> None:
    """Compare record and disks both ways: dark files, lost copies, scans that were never registered. It proposes and changes nothing."""
    from als_assets.retention.reconcile import reconcile

    parts = platform_for(facility)
    report = reconcile(parts.facility, parts.ledger, parts.transfers, beamline, location or ())
    if as_json:
        say(json.dumps({**asdict(report), "findings": [asdict(f) for f in report.findings]}))
    else:
        for finding in report.findings:
            say(f"{finding.kind}: {finding.words}\n  {finding.command}")
        for name, why in report.unseen.items():
            say(f"{name} could not be looked at: {why}")
        say(f"{report.copies} copies and {report.files} files compared, {len(report.findings)} do not fit.")
    raise typer.Exit(1 if report.findings or report.unseen else 0)


@app.command("space")
def prune_space(facility: FacilityOption = None) -> None:
    """Free space at the locations that this machine sees."""
    from als_assets.retention.space import mounted_space

    for name, free in mounted_space(platform_for(facility).facility).items():
        say(f"{name}: {size_words(free)} free")
