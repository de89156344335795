"""What 200 live jobs at one site cost: requests for each tick, bytes, memory, and the time of one look.

Here: 200 jobs held in the queue of the simulated NERSC, looked at as 200 runs do, over real HTTP. Not here: assertions (the tests hold
the count of requests). Asking for each job by itself, as the replaced system did, is measured beside it.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path, PurePosixPath

from als_assets.compute.poller import Poller
from als_assets.demo.processes import choose_ports
from als_assets.facility import load_facility
from als_assets.platform import Platform
from als_assets.simulator.box import make_box
from als_assets.simulator.config import load_config
from als_assets.simulator.server import Simulator

JOBS, TICKS = 200, 5
LIST = "/api/v1.2/compute/jobs/perlmutter"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        box = make_box(Path(folder), choose_ports())
        with Simulator(load_config(box.simulator_file)) as simulator:
            platform = Platform(load_facility(box.facility_file), who="bench")
            measure(platform, simulator)


def measure(platform: Platform, simulator: Simulator) -> None:
    control, transport = simulator.control, platform.transports["nersc"]
    control.add_fault(where="job", name="bench-*", action="hold", times=None)
    logs = PurePosixPath(platform.facility.sites["nersc"].compute.log_dir)  # type: ignore[union-attr]
    ids = [transport.submit(f"bench-{n}", f"#!/bin/bash\n#SBATCH --job-name=bench-{n}\ntrue\n", logs) for n in range(JOBS)]
    pollers = [Poller(platform.ledger.watching, "nersc", transport) for _ in ids]
    transport.poll_s = 3600.0
    for poller, job_id in zip(pollers, ids, strict=True):
        poller.look(job_id)
    before, began = len(control.requests("GET", LIST)), time.monotonic()
    tracemalloc.start()
    for _tick in range(TICKS):
        transport.poll_s = 0.0  # the tick is due
        pollers[0].look(ids[0])
        transport.poll_s = 3600.0
        for poller, job_id in zip(pollers[1:], ids[1:], strict=True):
            poller.look(job_id)
    peak, seconds = tracemalloc.get_traced_memory()[1], time.monotonic() - began
    batched = len(control.requests("GET", LIST)) - before
    began = time.monotonic()
    for job_id in ids:
        transport.look_many([job_id])
    alone = time.monotonic() - began
    rows = {
        f"requests for {JOBS} jobs and {TICKS} ticks": f"{batched} (one by one: {JOBS * TICKS})",
        "a tick, all looks (s)": f"{seconds / TICKS:.2f} (one by one: {alone:.2f})",
        "a look that finds the answer on record (ms)": f"{1000 * seconds / (TICKS * JOBS):.1f}",
        "peak of memory allocated by all looks (MB)": f"{peak / 1e6:.1f}",
        "resident memory of the process, simulator included (MB)": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f}",
    }
    width = max(map(len, rows))
    sys.stdout.writelines(f"{name:<{width}}  {value}\n" for name, value in rows.items())


if __name__ == "__main__":
    main()
