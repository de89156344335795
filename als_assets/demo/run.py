"""One demo from start to end.

Here: the order of things. Not here: processes (``processes``), following (``follow``) and drawing (``show``).
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.live import Live

from als_assets.beamlines.bl832 import BL832
from als_assets.beamlines.bl832.writer import ScanHeader
from als_assets.demo.follow import Follower, Progress
from als_assets.demo.processes import Processes, choose_ports
from als_assets.demo.show import live_table, proof_table
from als_assets.errors import ScanFieldMissing
from als_assets.facility import load_facility
from als_assets.ledger import Ledger
from als_assets.simulator.box import Box, make_box
from als_assets.simulator.detector import rewrite_scan, synthetic_scan

FOLDER = "demo-00847_jdoe"
_LIMIT_S = 900.0


@dataclass(frozen=True)
class DemoOptions:
    """``scan``: the user's own file instead of synthetic ones; ``leave``: stop when all is done."""

    state_dir: Path
    repository: Path
    scan: Path | None = None
    leave: bool = False


def run_demo(options: DemoOptions, console: Console) -> int:
    """Returns the number of scans that did not come to their end.

    Raises:
        DemoFailed: a process did not start or died. ScanError: the user's file is no scan.
    """
    began = time.monotonic()
    if options.scan is not None:
        require_scan(options.scan)
    signal.signal(signal.SIGTERM, _interrupt)
    box = make_box(options.state_dir, choose_ports())
    processes = Processes(box, options.state_dir, options.repository)
    try:
        console.print("Starting the simulated facility, Dagster and the board …")
        processes.start_all()
        console.print(f"Ready after {time.monotonic() - began:.0f} s. Dagster: http://127.0.0.1:{box.ports.dagster}")
        writers = _write_user_scan(box, options.scan) if options.scan else _write_scans(box)
        failures = _follow(processes, options, console, list(writers))
        for writer in writers.values():
            writer.join()
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


def _write_scans(box: Box) -> dict[str, threading.Thread]:
    """Three scans, written while the sensor watches; the last one slowly, in pieces."""
    stamp = time.strftime("%Y%m%d_%H%M%S")
    plans = {f"{stamp}_sandstone.h5": (1, 0.0), f"{stamp}_basalt.h5": (1, 0.0), f"{stamp}_slow_shale.h5": (8, 1.0)}
    writers = {}
    for seed, (name, (pieces, pause_s)) in enumerate(plans.items(), start=1):
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


def _follow(processes: Processes, options: DemoOptions, console: Console, names: list[str]) -> int:
    os.environ["DAGSTER_HOME"] = str(processes.home)
    facility = load_facility(processes.box.facility_file)
    ledger = Ledger.of(facility)
    with dg.DagsterInstance.get() as instance:
        follower = Follower(ledger, instance)
        rows = _watch(processes, follower, console, names)
        datasets = [d for d in ledger.datasets.list(newest_first=False) if d.file_name in names]
        console.print(proof_table(ledger, follower, datasets, facility.board_url))
    console.print(f"Dagster: {facility.dagster_url}   Board: {facility.board_url}")
    failures = sum(1 for row in rows if not row.complete)
    console.print(f"{len(rows) - failures} of {len(rows)} scans came to their end.")
    return failures


def _watch(processes: Processes, follower: Follower, console: Console, names: list[str]) -> list[Progress]:
    end = time.monotonic() + _LIMIT_S
    with Live(console=console, refresh_per_second=2, transient=True) as live:
        while True:
            processes.check()
            rows = follower.look(names)
            live.update(live_table(rows))
            if all(row.over for row in rows) or time.monotonic() > end:
                return rows
            time.sleep(1.0)
