"""Simulators as processes of their own, to be killed and started again on the same state and port.

Here: their making. Not here: tests. Each is forked from a process that has imported everything, once for all tests.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from multiprocessing.context import ForkServerProcess
from types import TracebackType
from typing import Self

from als_assets.simulator.config import SimulatorConfig
from als_assets.simulator.control import Control
from als_assets.simulator.server import serve

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["als_assets.simulator.server"])


class Process:
    """A simulator in a process of its own, always on the same port."""

    def __init__(self, config: SimulatorConfig) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.config, self.url = config.model_copy(update={"port": port}), f"http://127.0.0.1:{port}"
        self.control = Control(self.url)
        self._process: ForkServerProcess | None = None

    def start(self) -> None:
        self._process = FORKS.Process(target=serve, args=(self.config,))
        self._process.start()
        self.control.wait_for(self.control.ready, what="the simulator")

    def end(self, number: int) -> int:
        """Its exit code after a signal."""
        assert self._process is not None and self._process.pid is not None
        os.kill(self._process.pid, number)
        self._process.join(timeout=20)
        code, self._process = self._process.exitcode, None
        assert code is not None, "it has not ended"
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self.end(signal.SIGTERM)
        self.control.close()
