"""A dead worker is told from a slow one, and from another process with the same number.

Here: real processes, killed and not reaped, and hosts that cannot be looked at. Not here: what follows from a death.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger_kit import Clock, address
from ledger_worker import Warm
from sqlalchemy.orm import Session

from als_assets.ledger import Dataset, Ledger, Worker
from als_assets.ledger.workers import SILENCE, Life, boot_id, process_started


def change(ledger: Ledger, **values: object) -> None:
    with Session(ledger.engine) as session:
        session.execute(sa.update(Worker).values(**values))
        session.commit()


@pytest.fixture
def process(ledger: Ledger, sand: Dataset) -> Iterator[subprocess.Popen[bytes]]:
    """A process that goes on, on record as the worker of run1."""
    with subprocess.Popen(["/bin/sleep", "60"]) as started:
        ledger.workers.register("run1", "sand")
        change(ledger, pid=started.pid, pid_started=process_started(started.pid))
        yield started
        started.kill()


def test_a_worker_that_runs_is_alive(ledger: Ledger, sand: Dataset, warm: Warm) -> None:
    """One that has registered itself."""
    pid = warm.start(address(ledger), "register", "run1", 0)
    while (row := ledger.workers.find("run1")) is None:
        time.sleep(0.01)
    assert ledger.workers.life_of("run1") is Life.ALIVE
    assert (row.pid, row.boot_id, row.dataset_key) == (pid, boot_id(), "sand")
    warm.kill_all()
    assert ledger.workers.life_of("run1") is Life.GONE


def test_a_worker_that_was_killed_is_gone_before_and_after_it_is_reaped(ledger: Ledger, process: subprocess.Popen[bytes]) -> None:
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z", "it is a zombie now"
    assert process_started(process.pid) is None
    assert ledger.workers.life_of("run1") is Life.GONE
    process.wait()
    assert ledger.workers.life_of("run1") is Life.GONE


def test_after_a_reboot_it_is_gone_even_if_its_number_lives(ledger: Ledger, process: subprocess.Popen[bytes]) -> None:
    change(ledger, boot_id="another-boot")
    assert ledger.workers.life_of("run1") is Life.GONE


def test_another_process_with_its_number_is_not_it(ledger: Ledger, process: subprocess.Popen[bytes]) -> None:
    started = process_started(process.pid)
    assert started is not None
    change(ledger, pid_started=started - 1)
    assert ledger.workers.life_of("run1") is Life.GONE


def test_a_slow_worker_here_is_alive_however_long_it_is_silent(ledger: Ledger, process: subprocess.Popen[bytes], clock: Clock) -> None:
    change(ledger, heartbeat_at=clock())
    clock.turn(days=30)
    assert ledger.workers.life_of("run1") is Life.ALIVE


def test_on_another_host_only_a_long_silence_counts(ledger: Ledger, sand: Dataset, clock: Clock) -> None:
    ledger.workers.register("run1", "sand")
    change(ledger, host="elsewhere", pid=1)
    clock.now += SILENCE
    assert ledger.workers.life_of("run1") is Life.ALIVE
    clock.turn(seconds=1)
    assert ledger.workers.life_of("run1") is Life.GONE
    ledger.workers.beat("run1")
    assert ledger.workers.life_of("run1") is Life.ALIVE


def test_who_never_registered_is_unknown(ledger: Ledger) -> None:
    assert ledger.workers.life_of("run1") is Life.UNKNOWN and ledger.workers.find("run1") is None


def test_registering_again_moves_the_run_to_this_process(ledger: Ledger, process: subprocess.Popen[bytes]) -> None:
    ledger.workers.register("run1", None)
    process.kill()
    process.wait()
    row = ledger.workers.find("run1")
    assert row is not None and row.pid == os.getpid()
    assert ledger.workers.life_of("run1") is Life.ALIVE


def test_a_name_with_brackets_and_spaces_is_read_right(tmp_path: Path) -> None:
    """The second field of /proc/PID/stat is the program's name and may hold anything."""
    program = tmp_path / ") Z 1 ("  # a hasty reader would take it for a zombie
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as odd:
        try:
            assert process_started(odd.pid) is not None
        finally:
            odd.kill()
