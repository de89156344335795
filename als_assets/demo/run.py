"""One demo from start to end.

Here: the order of things. Not here: processes (``processes``), following (``follow``), drawing (``show``) and what goes wrong on
purpose (``stories``).
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.live import Live

from als_assets.beamlines.bl832 import BL832
from als_assets.beamlines.bl832.writer import ScanHeader
from als_assets.demo.follow import Follower, Progress
from als_assets.demo.processes import Processes, choose_ports
from als_assets.demo.show import live_table, proof_table
from als_assets.demo.stories import STORIES, Story, World
from als_assets.errors import ScanFieldMissing
from als_assets.facility import load_facility
from als_assets.ledger import Dataset
from als_assets.platform import platform_of
from als_assets.simulator.box import Box, make_box
from als_assets.simulator.control import Control
from als_assets.simulator.detector import rewrite_scan, synthetic_scan

FOLDER = "demo-00847_jdoe"
_LIMIT_S = 900.0
# What people call a site -> its name in the facility file.
SITES = {"nersc": "nersc", "alcf": "alcf", "olcf": "olcf", "local": "als"}


@dataclass(frozen=True)
class DemoOptions:
    """``scan``: the user's own file instead of synthetic ones; ``leave``: stop when all is done. ``site``:
    one of ``SITES``, where every reconstruction is made; ``fault``: one of ``STORIES``, told with one scan."""

    state_dir: Path
    repository: Path
    scan: Path | None = None
    leave: bool = False
    site: str = ""
    fault: str = ""


def _settings(options: DemoOptions, story: Story | None) -> dict[str, Any]:
    """What the options change in the beamline's settings."""
    chosen = dict(story.settings) if story is not None else {}
    if options.site:
        site = SITES[options.site]
        chosen |= {"sites": {site: True}, "reconstruction": {"sites": [site]}}
    return chosen


def run_demo(options: DemoOptions, console: Console) -> int:
    """Returns the number of scans that did not come to their end, or of things in a story that did not end as documented.

    Raises:
        DemoFailed: a process did not start or died. ScanError: the user's file is no scan.
    """
    began = time.monotonic()
    if options.scan is not None:
        require_scan(options.scan)
    signal.signal(signal.SIGTERM, _interrupt)
    story = STORIES[options.fault]() if options.fault else None
    box = make_box(options.state_dir, choose_ports(), settings=_settings(options, story))
    processes = Processes(box, options.state_dir, options.repository)
    try:
        console.print("Starting the simulated facility, Dagster and the board …")
        processes.start_all()
        console.print(f"Ready after {time.monotonic() - began:.0f} s. Dagster: http://127.0.0.1:{box.ports.dagster}")
        os.environ["DAGSTER_HOME"] = str(processes.home)
        failures = _follow(processes, options, console, ["sandstone"] if story else ["sandstone", "basalt", "slow_shale"], story)
        if not options.leave:
            console.print("Everything stays up until you press Ctrl-C.")
            while True:
                processes.check()
                time.sleep(1)
    except KeyboardInterrupt:
        console.print("Stopping …")
        return 0
    finally:
        processes.stop_all()
    return failures


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _write_scans(box: Box, samples: list[str]) -> dict[str, threading.Thread]:
    """A scan of each sample, written while the sensor watches; slow ones in pieces."""
    stamp = time.strftime("%Y%m%d_%H%M%S")
    writers = {}
    for seed, sample in enumerate(samples, start=1):
        name = f"{stamp}_{sample}.h5"
        pieces, pause_s = (8, 1.0) if sample.startswith("slow") else (1, 0.0)
        path = box.watched / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header = ScanHeader(sample_name=path.stem, acquired_at=datetime.now(UTC))
        options = {"rows": 32, "columns": 192, "angles": 181, "seed": seed, "pieces": pieces, "pause_s": pause_s, "header": header}
        writers[name] = threading.Thread(target=synthetic_scan, args=(path,), kwargs=options, name=f"detector {name}")
    for writer in writers.values():
        writer.start()
    return writers


def _write_user_scan(box: Box, source: Path) -> dict[str, threading.Thread]:
    """The user's file: as it is if it is a scan of 8.3.2, else rewritten into that layout."""
    target = box.watched / FOLDER / f"{time.strftime('%Y%m%d_%H%M%S')}_{source.stem}.h5"
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = threading.Thread(target=bring_in, args=(source, target))
    writer.start()
    return {target.name: writer}


def require_scan(source: Path) -> bool:
    """Whether the user's file has the 8.3.2 layout (else it is plain DX data). Raises ScanError for anything else."""
    try:
        BL832.inspect(source)
    except ScanFieldMissing:
        return False
    return True


def bring_in(source: Path, target: Path) -> None:
    """The detector writes the user's file: as it is, or rewritten into the 8.3.2 layout."""
    if require_scan(source):
        shutil.copyfile(source, target)
    else:
        rewrite_scan(source, target)


def _follow(processes: Processes, options: DemoOptions, console: Console, names: list[str], story: Story | None) -> int:
    facility = load_facility(processes.box.facility_file)
    platform = platform_of(processes.box.facility_file)
    with dg.DagsterInstance.get() as instance, Control(processes.box.simulator_url) as control:
        world = World(control, platform, instance, processes.dagster_url, lambda words: console.print(f"  {words}"))
        if story is not None:
            _begin(story, world, console)
        writers = _write_user_scan(processes.box, options.scan) if options.scan else _write_scans(processes.box, names)
        follower = Follower(platform.ledger, instance)
        rows = _watch(processes, follower, console, list(writers), world, story)
        for writer in writers.values():
            writer.join()
        datasets = [d for d in platform.ledger.datasets.list(newest_first=False) if d.file_name in writers]
        console.print(proof_table(platform.ledger, follower, datasets, facility.board_url))
        console.print(f"Dagster: {facility.dagster_url}   Board: {facility.board_url}")
        if story is not None:
            return _tell_end(story, world, console, datasets)
        wrong = [words for d in datasets for words in _elsewhere(world, d.key, options.site)]
    failures = sum(1 for row in rows if not row.complete) + len(wrong)
    console.print(f"{len(rows) - failures} of {len(rows)} scans came to their end.{' '.join(['', *wrong])}")
    return failures


def _begin(story: Story, world: World, console: Console) -> None:
    """Nothing of an earlier demo in the same folder disturbs the story."""
    console.print(f"[bold]{story.title}[/]")
    world.control.clear_faults()
    world.control.set_system("perlmutter", "active")
    story.arm(world)


def _tell_end(story: Story, world: World, console: Console, datasets: Sequence[Dataset]) -> int:
    world.control.clear_faults()
    wrong = [words for dataset in datasets for words in story.verdict(world, dataset.key)] if datasets else ["the scan was not admitted"]
    for dataset in datasets:
        for operation in world.job_operations(dataset.key):
            world.tell(str(operation.outcome.get("sentence", operation.state)))
    ended = "[green]It ended as documented:[/]" if not wrong else "[red]It did not end as documented[/] (" + "; ".join(wrong) + "):"
    console.print(f"{ended} {story.ending}")
    return len(wrong)


def _elsewhere(world: World, key: str, site: str) -> list[str]:
    """Reconstructions that were made at another site than the one that was asked for."""
    made = {str(o.request["site"]) for o in world.job_operations(key)}
    return [f"{key} was reconstructed at {', '.join(sorted(made)) or 'no site'}."] if site and made != {SITES[site]} else []


def _watch(
    processes: Processes, follower: Follower, console: Console, names: list[str], world: World, story: Story | None
) -> list[Progress]:
    end = time.monotonic() + _LIMIT_S
    with Live(console=console, refresh_per_second=2, transient=True) as live:
        while True:
            processes.check()
            rows = follower.look(names)
            live.update(live_table(rows))
            if time.monotonic() > end:
                return rows
            if all(row.over for row in rows) and not _goes_on(follower, names, world, story):
                return rows
            time.sleep(1.0)


def _goes_on(follower: Follower, names: list[str], world: World, story: Story | None) -> bool:
    """Whether a story has another run to come."""
    keys = [key for name in names if (key := follower.key_of(name)) is not None]
    return story is not None and any(story.recover(world, key) for key in keys)
