"""The board on a socket: this machine only, unless somebody says otherwise on purpose.

Here: the address it may listen on, and uvicorn's life. Not here: pages (``app``). There is no login here: for other machines a reverse
proxy with one belongs in front.
"""

from __future__ import annotations

import ipaddress
import signal
from pathlib import Path
from types import FrameType

import uvicorn

from als_assets.board.app import build_app
from als_assets.errors import ConfigError
from als_assets.facility import load_facility
from als_assets.ledger import Ledger


def serve(facility_file: Path, host: str, port: int, *, allow_remote: bool = False) -> None:
    """Serve the board of a facility until SIGTERM or SIGINT.

    Raises:
        ConfigError: the facility file is wrong, or ``host`` is reachable from outside and ``allow_remote`` is not set.
    """
    if not allow_remote and not is_loopback(host):
        raise ConfigError(
            f"The board would listen on {host}, where other machines reach it without a login.",
            next_step="Use --host 127.0.0.1 behind a reverse proxy with login, or say --allow-remote if that is meant.",
            host=host,
        )
    facility = load_facility(facility_file)
    ledger = Ledger.of(facility, who="board")
    config = uvicorn.Config(
        build_app(facility, ledger),
        host=host,
        port=port,
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    # Uvicorn raises the signal again after its shutdown: with its default action, a clean stop would look like a crash.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignore)
    try:
        uvicorn.Server(config).run()
    finally:
        ledger.close()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name could be any address, today or tomorrow


def _ignore(number: int, frame: FrameType | None) -> None:
    """The signal has done its work: the server has stopped."""
