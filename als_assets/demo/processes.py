"""The processes of a demo: started in order, watched, logged, and stopped with everything they started.

Here: one small supervisor. Not here: what the processes do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from als_assets.errors import AlsError
from als_assets.simulator.box import Box, Ports

_START_S = 60.0


class DemoFailed(AlsError):
    """A process of the demo did not start or died."""


def choose_ports() -> Ports:
    """The usual ports where they are free, any others where not."""
    return Ports(simulator=_free(8831), dagster=_free(3000), board=_free(8832))


def _free(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed("No port is free on this machine.", next_step="Stop another program that listens, then try again.")


@dataclass
class Processes:
    """What runs, by name. Each process leads a session, so that stopping it reaches what it started."""

    box: Box
    state_dir: Path
    repository: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ALS_FACILITY": str(self.box.facility_file),
            "DAGSTER_HOME": str(self.state_dir / "dagster"),
            "NUMBA_CACHE_DIR": str(self.state_dir / "numba"),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }

    def start_all(self) -> None:
        """Simulator and board, then Dagster: its storage first and alone, because two programs creating it at once break it."""
        self.start("simulator", ["-m", "als_assets.simulator", "--config", str(self.box.simulator_file)])
        self.start("board", ["-m", "als_assets.board", "--facility", str(self.box.facility_file), "--port", str(self.box.ports.board)])
        self._prepare_dagster()
        workspace = str(self.repository / "workspace.yaml")
        web = ["-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(self.box.ports.dagster), "-w", workspace]
        self.start("dagster-webserver", web)
        self.start("dagster-daemon", ["-m", "dagster._daemon", "run", "-w", workspace])
        self._wait_http("simulator", f"{self.box.simulator_url}/_sim/health")
        self._wait_http("board", f"http://127.0.0.1:{self.box.ports.board}/health")
        self._wait_http("dagster-webserver", f"{self.dagster_url}/server_info")
        self._require_definitions()

    @property
    def dagster_url(self) -> str:
        return f"http://127.0.0.1:{self.box.ports.dagster}"

    def _require_definitions(self) -> None:
        """Dagster serves its pages even when our definitions cannot be loaded."""
        query = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { ... on PythonError { message } } } } } }"
        answer = httpx.post(f"{self.dagster_url}/graphql", json={"query": query}, timeout=60).json()
        for entry in answer["data"]["workspaceOrError"]["locationEntries"]:
            message = (entry["locationOrLoadError"] or {}).get("message")
            if message:
                raise DemoFailed(f"Dagster could not load the definitions: {message[-800:]}", next_step="Mend that, then start again.")

    def _prepare_dagster(self) -> None:
        home = self.state_dir / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.repository / "dagster.yaml", home / "dagster.yaml")
        code = "import dagster as d\nwith d.DagsterInstance.get() as i:\n    i.get_runs(limit=1); i.all_instigator_state()"
        done = subprocess.run([sys.executable, "-c", code], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DemoFailed(f"Dagster's storage could not be made: {done.stderr[-500:]}", next_step="Run: make clean, then make demo")

    def start(self, name: str, arguments: list[str]) -> None:
        logs = self.state_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *arguments],
                env=self.environment,
                cwd=self.repository,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raises DemoFailed if a process has died."""
        for name, process in self.running.items():
            if process.poll() is not None:
                log = self.state_dir / "logs" / f"{name}.log"
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise DemoFailed(f"{name} stopped with exit code {process.returncode}:\n{tail}", next_step=f"Read {log}.")

    def _wait_http(self, name: str, url: str) -> None:
        self.wait_until(f"{name} answers at {url}", lambda: _answers(url))

    def wait_until(self, what: str, condition: Callable[[], bool], limit_s: float = _START_S) -> None:
        """Raises DemoFailed when a process dies, or the time is over."""
        end = time.monotonic() + limit_s
        while not condition():
            self.check()
            if time.monotonic() > end:
                raise DemoFailed(f"Waited {limit_s:.0f} s in vain until {what}.", next_step=f"Read the logs in {self.state_dir / 'logs'}.")
            time.sleep(0.1)

    def kill(self, *names: str) -> None:
        """kill -9, with everything in the session: what a power cut does."""
        for name in names:
            _signal(self.running.pop(name), signal.SIGKILL)

    def stop_all(self) -> None:
        """Ask politely, the consumers first; then insist."""
        order = ["dagster-daemon", "dagster-webserver", "board", "simulator"]
        for name in sorted(self.running, key=order.index):
            process = self.running.pop(name)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(15)
            _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
