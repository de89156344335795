"""``als simulate``: the simulated facility and its detector, by themselves.

Here: the commands. Not here: the simulator (it is imported only when a command runs).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from als_assets.cli.common import say
from als_assets.words import size_words

app = typer.Typer()
SlurmOption = Annotated[bool, typer.Option("--slurm", help="Run jobs on a real Slurm of its own (needs its packages).")]


@app.callback(invoke_without_command=True)
def simulate(
    context: typer.Context,
    slurm: SlurmOption = False,
    state: Annotated[Path, typer.Option(help="Folder for everything of it.")] = Path(".als"),
) -> None:
    """The simulated facility. Without a further command it is set up in the state folder, and its services run in the foreground."""
    if context.invoked_subcommand is not None:
        return
    from als_assets.demo.processes import choose_ports
    from als_assets.simulator.box import make_box

    box = make_box(state, choose_ports())
    say(f"The platform sees this facility with: export ALS_FACILITY={box.facility_file}")
    simulate_facility(box.simulator_file, slurm)


@app.command("facility")
def simulate_facility(
    config: Annotated[Path, typer.Option(help="The simulator's JSON file.", exists=True)], slurm: SlurmOption = False
) -> None:
    """Run the simulated services of a file in the foreground."""
    from als_assets.simulator.config import load_config
    from als_assets.simulator.server import serve

    settings = load_config(config)
    serve(settings.on_slurm() if slurm else settings)


@app.command("scan")
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
    say(f"Wrote {target} ({size_words(target.stat().st_size)}).")
