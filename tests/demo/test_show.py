"""The demo's table of proof: every copy under the asset that stands for it, with the evidence that is on record and no other.

Here: rows from records. Not here: the demo itself (``tests/e2e/test_demo.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from als_assets.demo.follow import Progress
from als_assets.demo.show import asset_of, live_table, proof_table
from als_assets.ledger import Ledger, Manifest, OutboxKind, Replica
from als_assets.ledger.datasets import NewDataset

KEY = "scan_1"
REPORT = {"report": {"job_id": "400"}}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", who="test")
    with closing(ledger):
        ledger.datasets.admit(NewDataset(KEY, "bl832", "f", "s.h5", "P", 3, None, True, "allowed", "spot832", "f/s.h5"))
        yield ledger


def shown(table: Any) -> list[list[str]]:
    return [list(cells) for cells in zip(*(column.cells for column in table.columns), strict=True)]


def copy(ledger: Ledger, product: str, location: str, sha256: str | None = None, **evidence: Any) -> Replica:
    row = ledger.replicas.expect(KEY, product, location, f"f/{product}")
    return ledger.replicas.verified(row.id, Manifest.single(3), why="a test", evidence=evidence, sha256=sha256)


@pytest.mark.parametrize(
    ("product", "location", "evidence", "asset"),
    [
        ("raw", "spot832", {}, "raw_on_spot832"),
        ("raw", "data832_raw", {}, "raw_on_data832"),
        ("raw", "nersc832_alsdev_raw", {}, "raw_on_nersc"),
        ("staged_raw", "nersc832_alsdev_pscratch_raw", {}, "raw for recon_tiff"),
        ("raw", "olcf832_raw", {}, "raw for recon_tiff"),
        ("recon_tiff", "nersc832_alsdev_pscratch_scratch", REPORT, "recon_tiff"),
        ("recon_zarr", "nersc832_alsdev_pscratch_scratch", REPORT, "recon_zarr"),
        ("recon_tiff", "data832_scratch", {"files_compared": 3}, "recon_on_data832"),
    ],
)
def test_a_copy_stands_under_its_asset(ledger: Ledger, product: str, location: str, evidence: dict[str, Any], asset: str) -> None:
    assert asset_of(copy(ledger, product, location, **evidence)) == asset


def test_every_row_says_how_it_is_known(ledger: Ledger) -> None:
    copy(ledger, "raw", "data832_raw", sha256="ab" * 32)
    copy(ledger, "staged_raw", "nersc832_alsdev_pscratch_raw", how="the size at the site is that of the scan")
    copy(ledger, "recon_tiff", "nersc832_alsdev_pscratch_scratch", **REPORT)
    copy(ledger, "recon_tiff", "data832_scratch", files_compared=33)
    for kind in (OutboxKind.DERIVED, OutboxKind.RAW):
        row = ledger.outbox.enqueue(f"als/{kind}", KEY, kind, {})
        ledger.outbox.done(row, {"url": f"http://scicat/{kind}"})
    follower: Any = SimpleNamespace(seconds_of=lambda _key, asset: 1.25 if asset == "raw_on_data832" else None)
    rows = shown(proof_table(ledger, follower, [ledger.datasets.get(KEY)], "http://board"))
    assert [(asset, proof, took) for _, asset, _, _, proof, took, _ in rows] == [
        ("raw_on_spot832", "complete when it was admitted: its frames were counted", ""),
        ("raw_on_data832", "SHA-256 abababababab…", "1.2"),
        ("raw for recon_tiff", "the size at the site is that of the scan", ""),
        ("recon_tiff", "job 400: exit codes, result, 1 files", ""),
        ("recon_on_data832", "checksums by mover, 33 files compared", ""),
        ("scicat_recon_record", "identifier confirmed by SciCat", ""),
        ("scicat_record", "identifier confirmed by SciCat", ""),
    ]
    assert {row[-1] for row in rows} == {"http://board/scan/scan_1", "http://scicat/raw", "http://scicat/derived"}


def test_what_a_file_name_holds_is_no_markup() -> None:
    table = live_table([Progress("[red]x[/]", "moves [bold]", ("preview",), ("preview", "recon_tiff"), over=True, failed=True)])
    console = Console(width=120, file=StringIO())
    console.print(table)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "moves [bold]" in printed and "[red]x[/]" in printed
