"""The demo's supervisor with small real processes.

Here: death noticed with the log's last lines, stopping, leftovers. Not here: the real platform (``tests/e2e``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from als_assets.demo.processes import DemoFailed, Processes, choose_ports
from als_assets.ledger.workers import process_started
from als_assets.simulator.box import Ports, make_box

SLEEP = ["-c", "import time; time.sleep(600)"]


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(make_box(tmp_path, Ports(1, 2, 3)), tmp_path, tmp_path)


def test_a_process_that_dies_is_named_with_its_last_words(processes: Processes) -> None:
    processes.start("board", ["-c", "import sys; sys.exit('cannot go on')"])
    with pytest.raises(DemoFailed, match=r"(?s)board stopped with exit code 1.*cannot go on"):
        processes.wait_until("it never comes", lambda: False)
    processes.stop_all()


def test_waiting_has_an_end(processes: Processes) -> None:
    with pytest.raises(DemoFailed, match="in vain until the moon is blue"):
        processes.wait_until("the moon is blue", lambda: False, limit_s=0.2)


def test_stop_reaches_what_a_process_started(processes: Processes, tmp_path: Path) -> None:
    child = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print(p.pid, flush=True); time.sleep(600)"
    )
    processes.start("board", ["-c", child])
    log = tmp_path / "logs" / "board.log"
    processes.wait_until("the child is there", lambda: log.read_text().strip().isdigit())
    pid = int(log.read_text())
    processes.stop_all()
    end = time.monotonic() + 10
    while process_started(pid) is not None and time.monotonic() < end:
        time.sleep(0.02)
    assert process_started(pid) is None


def test_leftovers_of_a_killed_demo_are_ended_and_others_are_not(processes: Processes) -> None:
    environment = {**os.environ, "DAGSTER_HOME": str(processes.home)}
    left = subprocess.Popen([sys.executable, *SLEEP], env=environment)
    other = subprocess.Popen([sys.executable, *SLEEP], env={**os.environ, "DAGSTER_HOME": f"{processes.home}-other"})
    processes.wait_until("it carries the mark", lambda: left.pid in processes.dagster_processes())
    processes.end_leftovers()
    assert left.wait(10) == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    other.wait()


def test_ports_are_free_and_different() -> None:
    ports = choose_ports()
    assert len({ports.simulator, ports.dagster, ports.board}) == 3
