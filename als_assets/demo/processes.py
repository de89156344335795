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
import yaml

from als_assets.errors import AlsError
from als_assets.simulator.box import Box, Ports

_START_S = 60.0
LOCATION = "als-assets"
DAGSTER = ("dagster-daemon", "dagster-webserver", "dagster-code")
"""The processes of Dagster, consumers first."""


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
    def home(self) -> Path:
        return self.state_dir / "dagster"

    @property
    def environment(self) -> dict[str, str]:
        """What Dagster's processes (and runs) see. The simulated sites do not: they are another party."""
        return {**os.environ, "ALS_FACILITY": str(self.box.facility_file), "DAGSTER_HOME": str(self.home)}

    def start_all(self) -> None:
        """Simulator and board, then Dagster. What an earlier demo left behind is ended first."""
        self.end_leftovers()
        self.start("simulator", ["-m", "als_assets.simulator", "--config", str(self.box.simulator_file)])
        self.start("board", ["-m", "als_assets.board", "--facility", str(self.box.facility_file), "--port", str(self.box.ports.board)])
        self._wait_http("simulator", f"{self.box.simulator_url}/_sim/health")
        self._wait_http("board", f"http://127.0.0.1:{self.box.ports.board}/health")
        self.start_dagster()

    def start_dagster(self) -> None:
        """Its storage first and alone, because two programs creating it at once break it; then one code server, which web server and
        daemon share (each would start one of its own, and importing everything takes seconds)."""
        self._prepare_dagster()
        port = _free(0)
        workspace = self._workspace(port)
        code = ["-m", "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port), "-m", "als_assets.definitions"]
        self.start("dagster-code", [*code, "--location-name", LOCATION, "--inject-env-vars-from-instance"], self.environment)
        self.wait_until("the code server answers", lambda: _listens(port))
        web = ["-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(self.box.ports.dagster), "-w", workspace]
        self.start("dagster-webserver", web, self.environment)
        self.start("dagster-daemon", ["-m", "dagster._daemon", "run", "-w", workspace], self.environment)
        self._wait_http("dagster-webserver", f"{self.dagster_url}/server_info")
        self._require_definitions()

    def _workspace(self, port: int) -> str:
        path = self.home / "workspace.yaml"
        server = {"host": "127.0.0.1", "port": port, "location_name": LOCATION}
        path.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
        return str(path)

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
        self.home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.repository / "dagster.yaml", self.home / "dagster.yaml")
        code = "import dagster as d\nwith d.DagsterInstance.get() as i:\n    i.get_runs(limit=1); i.all_instigator_state()"
        done = subprocess.run([sys.executable, "-c", code], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DemoFailed(f"Dagster's storage could not be made: {done.stderr[-500:]}", next_step="Run: make clean, then make demo")

    def start(self, name: str, arguments: list[str], environment: dict[str, str] | None = None) -> None:
        logs = self.state_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *arguments],
                env=environment,
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

    def dagster_processes(self) -> list[int]:
        """Every process of this Dagster: servers, daemon, code servers and run workers, whoever started them."""
        mark = f"DAGSTER_HOME={self.home}".encode()
        return [pid for pid in _all_pids() if mark in _environment_of(pid)]

    def run_workers(self) -> list[int]:
        """The processes that work on runs (they carry no port or socket of their own)."""
        return [pid for pid in self.dagster_processes() if b"execute_run" in _command_of(pid)]

    def kill_dagster(self) -> None:
        """kill -9 for all of Dagster at once: what a power cut does to it, while the sites go on."""
        for pid in self.dagster_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in DAGSTER:
            if name in self.running:
                self.running.pop(name).wait()

    def end_leftovers(self) -> None:
        """End what a demo in the same folder left behind when it was killed itself."""
        self.kill_dagster()
        mark = str(self.box.root).encode()
        for pid in _all_pids():
            command = _command_of(pid)
            if mark in command and (b"als_assets.simulator" in command or b"als_assets.board" in command):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def stop(self, name: str) -> None:
        """Ask politely, then insist."""
        process = self.running.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
        _signal(process, signal.SIGKILL)

    def stop_all(self) -> None:
        """The consumers first."""
        for name in (*DAGSTER, "board", "simulator"):
            if name in self.running:
                self.stop(name)
        self.kill_dagster()


def _all_pids() -> list[int]:
    own = os.getpid()
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and int(p.name) != own]


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it ended, or is another user's
        return []


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
