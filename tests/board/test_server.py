"""The board as a process: it starts from a facility file, listens on this machine only, and stops when asked."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml
from board_story import facility_document

from als_assets.board.__main__ import main
from als_assets.board.server import is_loopback, serve
from als_assets.errors import ConfigError


@pytest.fixture
def facility_file(tmp_path: Path) -> Path:
    path = tmp_path / "facility.yaml"
    path.write_text(yaml.safe_dump(facility_document(tmp_path / "state")))
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_stops_cleanly(facility_file: Path, number: signal.Signals) -> None:
    port = free_port()
    command = [sys.executable, "-m", "als_assets.board", "--facility", str(facility_file), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while True:
            assert process.poll() is None, process.stderr and process.stderr.read()
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/health")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        assert answer.text == "ok"
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
        process.send_signal(number)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "data832.als.lbl.gov", ""])
def test_it_refuses_addresses_that_others_reach(facility_file: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="without a login") as caught:
        serve(facility_file, host, 8832)
    assert "--allow-remote" in caught.value.next_step


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "::1", "localhost"])
def test_addresses_of_this_machine(host: str) -> None:
    assert is_loopback(host)


def test_the_command_line_says_why_it_does_not_start(facility_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--facility", str(facility_file), "--host", "0.0.0.0"]) == 1
    assert "Next step: Use --host 127.0.0.1" in capsys.readouterr().err
    assert main(["--facility", str(facility_file.with_name("absent.yaml"))]) == 1
    assert "cannot be read" in capsys.readouterr().err
