"""How long a new scan takes, and what a waiting one costs, beside the replaced system's numbers.

Here: the platform as real processes with small files, as the replaced system was measured (splash_flows on Prefect 3.4.2, SQLite, two
cores, simulated services, 23 kB files, 2026-11-22). Not here: assertions; machines differ, so read the columns, not the seconds alone.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from als_assets.demo.processes import Processes, choose_ports
from als_assets.facility import load_facility
from als_assets.ledger import Ledger, Operation, OperationKind, OperationState
from als_assets.simulator.box import make_box
from als_assets.simulator.control import Control
from als_assets.simulator.detector import synthetic_scan

FOLDER = "bench-00847_jdoe"
SINGLE, BATCH = 3, 20
LIMIT_S = 300.0
BASELINE = {
    "new file -> copies and record done, one at a time (median s)": "13.7",
    "scans per hour, 20 at once": "612-745, and 1 to 2 of 20 never started",
    "scans that came to their end, of 20": "18-19",
    "memory of a scan that waits for a transfer (MB PSS)": "294",
}


class Bench:
    """A platform that copies and records, and does not reconstruct."""

    def __init__(self, state: Path) -> None:
        steps = {"preview": False, "reconstruction": False}
        self.box = make_box(state, choose_ports(), settings={"quiet_s": 0, "steps": steps})
        self.processes = Processes(self.box, state, Path(__file__).parent.parent)
        self.processes.start_all()
        self.ledger = Ledger.of(load_facility(self.box.facility_file))
        self.control = Control(self.box.simulator_url)

    def drop(self, name: str) -> float:
        path = self.box.watched / FOLDER / f"{name}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        synthetic_scan(path, rows=2, columns=32, angles=31)
        return time.monotonic()

    def finished(self, name: str) -> bool:
        """Both copies verified and the record confirmed."""
        copies = [r for r in self.ledger.replicas.of(name, product="raw") if r.state == "verified"]
        return len(copies) == 3 and any(_is_record(o) for o in self.ledger.operations.of(name))

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        self.processes.wait_until(what, condition, LIMIT_S)

    def close(self) -> None:
        self.control.close()
        self.ledger.close()
        self.processes.stop_all()


def _is_record(operation: Operation) -> bool:
    return operation.kind is OperationKind.CATALOGUE and operation.state is OperationState.SUCCEEDED


def one_at_a_time(bench: Bench) -> float:
    taken = []
    for number in range(SINGLE):
        name = f"single_{number}"
        began = bench.drop(name)
        bench.wait(f"{name} to be done", lambda name=name: bench.finished(name))  # type: ignore[misc]
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


def many_at_once(bench: Bench) -> tuple[float, int]:
    names = [f"batch_{number}" for number in range(BATCH)]
    began = time.monotonic()
    for name in names:
        bench.drop(name)
    bench.wait("the batch to be done", lambda: all(bench.finished(name) for name in names))
    return BATCH / (time.monotonic() - began) * 3600, sum(bench.finished(name) for name in names)


def waiting_memory_mb(bench: Bench) -> float:
    """Proportional set size of the process of a run whose transfer stalls."""
    bench.control.add_fault({"where": "transfer", "action": "stall", "label": "waits *"})
    bench.drop("waits")
    bench.wait("a stalled transfer", lambda: any(o.state is OperationState.SUBMITTED for o in bench.ledger.operations.open_ones()))
    holder = bench.ledger.operations.open_ones()[0].holder
    worker = bench.ledger.workers.find(str(holder))
    assert worker is not None
    rollup = Path(f"/proc/{worker.pid}/smaps_rollup").read_text()
    kilobytes = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    bench.control.clear_faults()
    return kilobytes / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            median = one_at_a_time(bench)
            rate, ended = many_at_once(bench)
            memory = waiting_memory_mb(bench)
        finally:
            bench.close()
    ours = [f"{median:.1f}", f"{rate:.0f}", f"{ended}", f"{memory:.0f}"]
    table = [{"measure": name, "replaced": theirs, "als-assets": own} for (name, theirs), own in zip(BASELINE.items(), ours, strict=True)]
    sys.stdout.write(yaml.safe_dump(table, sort_keys=False, width=200))


if __name__ == "__main__":
    main()
