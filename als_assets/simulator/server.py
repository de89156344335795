"""The simulator on a socket: in a thread for tests, or as a process of its own.

Here: uvicorn and its life. Not here: the services.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from als_assets.errors import ServiceUnreachable
from als_assets.simulator.app import Facility
from als_assets.simulator.config import SimulatorConfig
from als_assets.simulator.control import Control

_START_LIMIT_S = 20.0


class _Protocol(H11Protocol):
    """Shows the connection to the application, so that a fault can drop it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """Knows its address once it listens."""

    @property
    def port(self) -> int:
        """The port that is listened on (chosen by the system when 0 was asked for)."""
        return int(self.servers[0].sockets[0].getsockname()[1])


def _server(config: SimulatorConfig) -> _Server:
    # A host and a port, never a socket of ours: that would lack TCP_NODELAY, and every request would take 45 ms.
    options = uvicorn.Config(
        Facility(config).app,
        host=config.host,
        port=config.port,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return _Server(options)


class Simulator:
    """The simulator in a thread of this process::

        with Simulator(config) as simulator:
            client = TransferClient(app=..., base_url=simulator.url)
            simulator.control.add_fault(where="transfer", action="flip")

    ``url`` has no slash at its end. Raises ``ServiceUnreachable`` when the port is taken.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.url = ""
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._control: Control | None = None

    @property
    def control(self) -> Control:
        """The client of the control plane."""
        if self._control is None:
            self._control = Control(self.url)
        return self._control

    def start(self) -> Self:
        """Start, and return when requests are answered."""
        server = self._server = _server(self.config)
        self._thread = threading.Thread(target=_run, args=(server,), name="simulator", daemon=True)
        self._thread.start()
        end = time.monotonic() + _START_LIMIT_S
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise ServiceUnreachable(
                    f"The simulator could not listen on {self.config.host}:{self.config.port}.",
                    next_step="Choose another port, or 0 for a free one.",
                )
            time.sleep(0.005)
        self.url = f"http://{self.config.host}:{server.port}"
        return self

    def stop(self) -> None:
        """Stop cleanly: tasks stay as they are, running jobs are killed unless the configuration keeps them."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _run(server: _Server) -> None:
    try:
        server.run()
    except SystemExit:
        # Uvicorn leaves so when it cannot listen; it has logged why, and ``start`` notices that the thread is gone.
        return


def serve(config: SimulatorConfig) -> None:
    """Run in this process until SIGTERM or SIGINT; one line with the address on standard output when ready."""

    class Announcing(_Server):
        async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
            await super().startup(None)
            if self.started:
                sys.stdout.write(f"The simulator is ready at http://{config.host}:{self.port}\n")
                sys.stdout.flush()

    server = Announcing(_server(config).config)
    # Uvicorn raises the signal again after its shutdown: with its default action, a clean stop would look like a crash.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignore)
    server.run()


def _ignore(number: int, frame: FrameType | None) -> None:
    """The signal has done its work: the server has stopped."""
