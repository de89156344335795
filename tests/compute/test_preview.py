"""The preview of a raw file on this machine: pictures at addresses of the board, or the program's own sentence."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from als_assets.compute import preview as preview_module
from als_assets.compute.preview import PreviewMaker
from als_assets.errors import JobFailed
from als_assets.simulator.detector import synthetic_scan


@pytest.fixture
def maker(tmp_path: Path) -> PreviewMaker:
    return PreviewMaker(tmp_path, "http://127.0.0.1:8000")


def test_pictures_and_facts(maker: PreviewMaker, tmp_path: Path) -> None:
    raw = tmp_path / "a scan.h5"
    synthetic_scan(raw, rows=6, columns=64, angles=61)

    preview = maker.make("scan-1", raw)

    assert preview.folder == tmp_path / "media" / "scan-1"
    assert len(preview.pictures) >= 3
    for title, address in preview.pictures.items():
        file = preview.folder / address.rsplit("/", 1)[1]
        assert address == f"http://127.0.0.1:8000/media/scan-1/{file.name}"
        assert "_" not in title
        with Image.open(file) as picture:
            assert min(picture.size) > 0
    assert preview.facts
    assert maker.read("scan-1") == preview


@pytest.mark.parametrize("content", [b"", b"this is no HDF5 file", b"\x89HDF\r\n\x1a\n" + bytes(100)], ids=["empty", "text", "cut"])
def test_a_broken_file_fails_with_the_programs_sentence(maker: PreviewMaker, tmp_path: Path, content: bytes) -> None:
    raw = tmp_path / "broken.h5"
    raw.write_bytes(content)

    with pytest.raises(JobFailed, match=r"The preview of scan-2 failed \(exit code \d+\): .*broken\.h5") as caught:
        maker.make("scan-2", raw)

    assert "Traceback" not in caught.value.sentence + str(caught.value.details["stderr_tail"])


def test_a_missing_file_is_named(maker: PreviewMaker, tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"absent\.h5"):
        maker.make("scan-3", tmp_path / "absent.h5")


def test_a_preview_that_takes_too_long_is_stopped(maker: PreviewMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview_module, "_LIMIT_S", 0.05)

    with pytest.raises(JobFailed, match=r"took longer than 0\.05 s and was stopped"):
        maker.make("scan-4", tmp_path / "x.h5")


def test_a_program_that_dies_without_a_word_is_told_so(maker: PreviewMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(command: list[str], **_: Any) -> Any:
        return subprocess.CompletedProcess(command, -11, "", "")

    monkeypatch.setattr(preview_module.subprocess, "run", dies)

    with pytest.raises(JobFailed, match="it gave no reason"):
        maker.make("scan-5", tmp_path / "x.h5")
