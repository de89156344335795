"""The ``als`` command: what staff, operators and scripts do without the web UI.

Here: options, words and exit codes (0 done, 1 it failed, 2 wrong use or configuration). Not here: any work; each command calls a room.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from als_assets.errors import AlsError, ConfigError
from als_assets.facility.load import facility_file, load_facility, load_model
from als_assets.facility.settings import Settings
from als_assets.words import size_words

if TYPE_CHECKING:  # the clients of all services take two seconds to import, and `als --help` needs none
    from als_assets.ledger import Dataset, Ledger
    from als_assets.platform import Platform

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The data platform of ALS beamline 8.3.2.")
config_app = typer.Typer(no_args_is_help=True, help="Check configuration files.")
scan_app = typer.Typer(no_args_is_help=True, help="Look at scans, announce them, and say where they may go.")
simulate_app = typer.Typer(no_args_is_help=True, help="The simulated facility.")
app.add_typer(config_app, name="config")
app.add_typer(scan_app, name="scan")
app.add_typer(simulate_app, name="simulate")

FacilityOption = Annotated[Path | None, typer.Option("--facility", help="Facility file (default: the variable ALS_FACILITY).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
REPOSITORY = Path(__file__).parent.parent


def main() -> None:
    """Entry point: errors are one sentence and the next step, never a stack."""
    try:
        app()
    except AlsError as error:
        Console(stderr=True).print(f"{error.sentence}\nNext step: {error.next_step}", markup=False, highlight=False)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


def _platform(facility: Path | None) -> Platform:
    from als_assets.platform import platform_of

    return platform_of(facility or facility_file())


def _say(value: Any) -> None:
    Console(soft_wrap=True).print(value if isinstance(value, Table) else str(value), markup=False, highlight=False)


@app.command()
def demo(
    scan: Annotated[
        Path | None, typer.Option(help="Your own HDF5 scan instead of three synthetic ones.", exists=True, dir_okay=False)
    ] = None,
    leave: Annotated[bool, typer.Option("--exit", help="Stop when all scans are done; the exit code counts failures.")] = False,
    state: Annotated[Path, typer.Option(help="Folder for everything the demo writes.")] = Path(".als"),
) -> None:
    """Run the whole platform against a simulated facility on this machine."""
    from als_assets.demo.run import DemoOptions, run_demo  # Dagster and numpy: only this command needs them

    options = DemoOptions(state_dir=state.resolve(), repository=REPOSITORY, scan=scan, leave=leave)
    console = Console() if sys.stdout.isatty() else Console(width=200)  # a log file has no width of its own
    raise typer.Exit(run_demo(options, console))


@config_app.command("check")
def config_check(path: Annotated[Path | None, typer.Argument(help="Facility file (default: the one in force).")] = None) -> None:
    """Check a facility file and the settings it names; print what is wrong with file, line and reason."""
    chosen = path or facility_file()
    facility = load_facility(chosen)
    for name, setup in facility.beamlines.items():
        load_model(setup.settings, Settings)
        _say(f"{name}: settings {setup.settings.name} are right.")
    _say(f"{chosen}: right ({len(facility.sites)} sites, {len(facility.locations)} locations).")


@scan_app.command("list")
def scan_list(facility: FacilityOption = None, limit: int = 50, as_json: JsonOption = False) -> None:
    """The newest scans, and the files that are no scans (yet)."""
    ledger = _platform(facility).ledger
    datasets, sightings = ledger.datasets.list(limit=limit), ledger.sightings.list()
    if as_json:
        rows = [_dataset_json(ledger, d) for d in datasets]
        _say(json.dumps({"scans": rows, "files": [{"path": s.path, "problem": s.problem} for s in sightings]}, indent=1))
        return
    table = Table("scan", "proposal", "size", "copies verified", "admitted (UTC)")
    for dataset in datasets:
        copies = ", ".join(r.location for r in ledger.replicas.of(dataset.key, product="raw") if r.state == "verified")
        table.add_row(
            dataset.key, dataset.proposal or "unknown", size_words(dataset.size_bytes), copies, f"{dataset.admitted_at:%Y-%m-%d %H:%M}"
        )
    _say(table)
    for sighting in sightings:
        _say(f"Not a scan yet: {sighting.path}: {sighting.problem or 'still being written'} {sighting.next_step or ''}".rstrip())


@scan_app.command("show")
def scan_show(key: str, facility: FacilityOption = None, as_json: JsonOption = False) -> None:
    """Where every copy of a scan is, and what was done with it."""
    parts = _platform(facility)
    dataset = parts.ledger.datasets.get(key)
    if as_json:
        _say(json.dumps(_dataset_json(parts.ledger, dataset), indent=1))
        return
    _say(f"{dataset.key}: {dataset.raw_path}, {size_words(dataset.size_bytes)}, proposal {dataset.proposal or 'unknown'}")
    _say(f"May leave the ALS: {'yes' if dataset.may_leave else 'no'} ({dataset.release_reason})")
    table = Table("product", "where", "state", "size", "verified (UTC)")
    for r in parts.ledger.replicas.of(key):
        when = f"{r.verified_at:%Y-%m-%d %H:%M:%S}" if r.verified_at else ""
        table.add_row(r.product, f"{r.location}: {r.path}", r.state, size_words(r.size_bytes), when)
    _say(table)
    for operation in parts.ledger.operations.of(key):
        words = operation.outcome.get("sentence") or operation.handle.get("progress") or ""
        _say(f"{operation.created_at:%H:%M:%S} {operation.kind} {operation.state}: {operation.key} {words}")
    _say(f"{parts.facility.board_url}/scan/{key}")


def _dataset_json(ledger: Ledger, dataset: Dataset) -> dict[str, Any]:
    copies = [
        {"product": r.product, "location": r.location, "path": r.path, "state": r.state, "bytes": r.size_bytes, "sha256": r.sha256}
        for r in ledger.replicas.of(dataset.key)
    ]
    return {"key": dataset.key, "file": dataset.raw_path, "proposal": dataset.proposal, "may_leave": dataset.may_leave, "copies": copies}


@scan_app.command("announce")
def scan_announce(
    path: Annotated[
        str, typer.Argument(help="The file, as the beamline names it (/global/raw/<folder>/<file>.h5) or below the raw folder.")
    ],
    facility: FacilityOption = None,
    beamline: str = "bl832",
) -> None:
    """Say that a file is complete. It is admitted at once, without waiting until it lies still; its run starts at the next tick."""
    parts = _platform(facility)
    intake = parts.intake(beamline)
    relative = PurePosixPath(path)
    if relative.is_absolute() and relative.is_relative_to(intake.root):
        relative = relative.relative_to(intake.root)
    dataset = intake.consider(relative, parts.settings(beamline).settings, announced=True)
    _say(f"Admitted as {dataset.key}." if dataset else "It is a scan already; nothing was done.")


@scan_app.command("flag")
def scan_flag(key: str, reason: Annotated[str, typer.Option(help="Why it must stay.")], facility: FacilityOption = None) -> None:
    """Keep a scan at the ALS from now on: nothing about it is sent anywhere else."""
    _platform(facility).ledger.datasets.set_release(key, may_leave=False, reason=reason)
    _say(f"{key} stays at the ALS.")


@scan_app.command("release")
def scan_release(key: str, reason: Annotated[str, typer.Option(help="Why it may leave.")], facility: FacilityOption = None) -> None:
    """Allow a scan to leave the ALS."""
    _platform(facility).ledger.datasets.set_release(key, may_leave=True, reason=reason)
    _say(f"{key} may leave the ALS. Materialize the missing assets of its partition in Dagster.")


@scan_app.command("hold")
def scan_hold(
    key: str,
    reason: Annotated[str, typer.Option(help="Why every copy must be kept.")],
    until: Annotated[datetime | None, typer.Option(help="Last day (UTC); without it the hold stays until it is released.")] = None,
    who: Annotated[str, typer.Option(envvar="USER", help="Who says so.")] = "unknown",
    facility: FacilityOption = None,
) -> None:
    """Keep every copy of a scan: a hold wins over every deletion policy."""
    ledger = _platform(facility).ledger
    key = ledger.datasets.get(key).key
    ledger.holds.place(who=who, reason=reason, dataset_key=key, until=until.replace(tzinfo=UTC) if until else None)
    _say(f"{key} is held: no copy is deleted.")


@scan_app.command("unhold")
def scan_unhold(
    key: str,
    reason: Annotated[str, typer.Option(help="Why the hold may end.")],
    who: Annotated[str, typer.Option(envvar="USER", help="Who says so.")] = "unknown",
    facility: FacilityOption = None,
) -> None:
    """End the hold on a scan; the deletion policy applies again."""
    ledger = _platform(facility).ledger
    dataset = ledger.datasets.get(key)
    hold = ledger.holds.on(dataset)
    if hold is None:
        _say(f"No hold is in force on {dataset.key}.")
        return
    ledger.holds.release(hold.id, who=who, reason=reason)
    _say(f"The hold on {hold.dataset_key or f'proposal {hold.proposal}'} has ended.")


@simulate_app.command("facility")
def simulate_facility(config: Annotated[Path, typer.Option(help="The simulator's JSON file.", exists=True)]) -> None:
    """Run the simulated services in the foreground."""
    from als_assets.simulator.config import load_config
    from als_assets.simulator.server import serve

    serve(load_config(config))


@simulate_app.command("scan")
def simulate_scan(
    target: Annotated[Path, typer.Argument(help="The HDF5 file to write.")],
    rows: int = 48,
    columns: int = 256,
    angles: int = 181,
    seed: int = 0,
    pieces: Annotated[int, typer.Option(help="Write it in that many pieces, as the detector does.")] = 1,
    pause_s: Annotated[float, typer.Option(help="Seconds between pieces.")] = 0.0,
) -> None:
    """Write a synthetic scan in the 8.3.2 layout."""
    from als_assets.simulator.detector import synthetic_scan

    target.parent.mkdir(parents=True, exist_ok=True)
    synthetic_scan(target, rows=rows, columns=columns, angles=angles, seed=seed, pieces=pieces, pause_s=pause_s)
    _say(f"Wrote {target} ({size_words(target.stat().st_size)}).")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def recon(context: typer.Context) -> None:
    """Reconstruct, multires or preview a file on this machine (als recon --help)."""
    from als_assets.recon.cli import main as recon_main

    raise typer.Exit(recon_main(context.args))


@app.command()
def board(
    facility: FacilityOption = None,
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8832,
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Permit an address that others reach; it has no login.")] = False,
) -> None:
    """Serve the read-only pages beside Dagster."""
    from als_assets.board import serve as serve_board

    serve_board(facility or facility_file(), host, port, allow_remote=allow_remote)
