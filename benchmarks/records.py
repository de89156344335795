"""Records per second beside the plain pyscicat call sequence of the replaced ingester, and the cost of a second pass.

Here: both against one SciCat (the simulated one, or ``--url`` for a real test server), interleaved, so that the load of the machine
falls on both. Not here: assertions. Run: ``python benchmarks/records.py [--scans 200] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pyscicat.client import ScicatClient
from pyscicat.model import Attachment, CreateDatasetOrigDatablockDto, DataFile, RawDataset

from als_assets.beamlines.base import CatalogueFields, Extract, ExtractedFile
from als_assets.beamlines.bl832 import BL832
from als_assets.catalogue.accounts import Accounts
from als_assets.catalogue.client import CatalogueClient
from als_assets.catalogue.ensure import ensure_record
from als_assets.catalogue.model import FileEntry, Record, Thumbnail
from als_assets.catalogue.pictures import thumbnail_of_pixels
from als_assets.catalogue.records import Surroundings, raw_record
from als_assets.catalogue.settings import CatalogueSettings, RecordSettings
from als_assets.simulator.config import ScicatConfig, ScicatUser, SimulatorConfig
from als_assets.simulator.server import Simulator

USER, PASSWORD = "ingestor", "benchmark"
WHEN = datetime(2026, 3, 2, 18, 30, tzinfo=UTC)


def picture() -> Thumbnail:
    made = thumbnail_of_pixels(np.random.default_rng(0).random((256, 256)), "projection", [])
    assert made is not None
    return made


def record(number: int, run: str, thumbnail: Thumbnail, group: str) -> Record:
    """A scan with as much metadata as 8.3.2 writes."""
    name = f"bench_{run}_{number:05d}"
    fields = CatalogueFields(name, None, "Jane Doe", "ALS-00847", "bl832", "jane@lbl.gov", "micro-tomography")
    scientific = {f"/measurement/instrument/field_{i}": float(i) for i in range(40)}
    extract = Extract(fields, scientific, (ExtractedFile(f"{name}.h5", 8_510_000_000, WHEN),), WHEN)
    around = Surroundings("/global/cfs/raw", [FileEntry(f"{name}.h5", 8_510_000_000, WHEN)], [thumbnail])
    identity = BL832.identify(PurePosixPath(f"bench-00847_doe/{name}.h5"))
    return raw_record(RecordSettings(ingest_group=group), "bl832", identity, extract, around)


def plain(client: ScicatClient, item: Record) -> None:
    """What the replaced ingester sends: create, file list, picture; no look at what is there."""
    body = item.body()
    pid = f"{body.pop('pid')}-plain"
    client.datasets_create(RawDataset(pid=pid, **{k: v for k, v in body.items() if k != "type"}))
    files = [DataFile(path=entry.path, size=entry.size_bytes, time=entry.modified_at.isoformat()) for entry in item.file_blocks[0]]
    client.datasets_origdatablock_create(pid, CreateDatasetOrigDatablockDto(size=sum(f.size for f in files), dataFileList=files))
    uri = "data:image/jpeg;base64," + base64.b64encode(item.thumbnails[0].content).decode()
    client.datasets_attachment_create(Attachment(datasetId=pid, thumbnail=uri, caption="raw", ownerGroup=body["ownerGroup"]))


def rate(seconds: list[float]) -> float:
    return len(seconds) / sum(seconds)


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def measure(url: str, scans: int, group: str) -> dict[str, Any]:
    thumbnail, run = picture(), f"{os.getpid()}_{int(time.time())}"
    items = [record(number, run, thumbnail, group) for number in range(scans)]
    user, password = os.environ.get("SCICAT_USER", USER), os.environ.get("SCICAT_PASSWORD", PASSWORD)
    settings = CatalogueSettings(f"{url}/api/v3", url, user, lambda: password)
    theirs = ScicatClient(base_url=f"{url}/api/v3", username=user, password=password, timeout_seconds=30)
    with CatalogueClient(settings, lambda key: None) as client:
        accounts = Accounts(client)
        first, base, second = [], [], []
        for item in items:
            first.append(timed(lambda item=item: ensure_record(accounts, item, attempt=item.pid)))  # type: ignore[misc]
            base.append(timed(lambda item=item: plain(theirs, item)))  # type: ignore[misc]
        for item in items:
            second.append(timed(lambda item=item: ensure_record(accounts, item, attempt=item.pid)))  # type: ignore[misc]
    return {
        "scans": scans,
        "ours_per_s": round(rate(first), 1),
        "pyscicat_per_s": round(rate(base), 1),
        "ratio": round(rate(first) / rate(base), 2),
        "second_pass_per_s": round(rate(second), 1),
        "ours_median_ms": round(1000 * statistics.median(first), 2),
        "pyscicat_median_ms": round(1000 * statistics.median(base), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=200)
    parser.add_argument("--url", help="a real test server; SCICAT_USER and SCICAT_PASSWORD say who we are there")
    parser.add_argument("--group", default="ingestor", help="a group of that account")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        users = {USER: ScicatUser(password=PASSWORD, groups=["ingestor"])}
        config = SimulatorConfig(state_dir=Path(folder) / "s", scicat=ScicatConfig(users=users, create_groups=["ingestor"]))
        with nullcontext() if options.url else Simulator(config) as simulator:
            address = str(options.url or (simulator and simulator.url))
            url = address.rstrip("/").removesuffix("/api/v3")
            found = measure(url, options.scans, options.group)
    found |= {"server": "given" if options.url else "simulated", "python": platform.python_version(), "cores": os.cpu_count()}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
