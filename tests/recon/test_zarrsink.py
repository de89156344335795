"""Slabs from memory: the store they become, in any order that threads bring, after a kill, and with little memory.

Here: promises of zarrsink.py and pyramid.py about slabs. What belongs here is the way into the store. Not here: what stores look like to
readers (``test_stores.py``) and directories of slices (``test_multires.py``).
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from recon_phantoms import ScanFile

from als_assets.recon.cli import main
from als_assets.recon.errors import DiskFull, OutputBusy, OutputIncomplete
from als_assets.recon.sinks import Product, SlabSink, Volume
from als_assets.recon.volume import pyramid as pyramid_module
from als_assets.recon.volume import zarrsink as module
from als_assets.recon.volume.levels import CHUNK
from als_assets.recon.volume.pyramid import Pyramid
from als_assets.recon.volume.zarr_store import Version
from als_assets.recon.volume.zarrsink import zarr_sink

ROWS, WIDTH, BATCH = 300, 96, 16


def truth(rows: int = ROWS, width: int = WIDTH) -> NDArray[np.float32]:
    return np.random.default_rng(rows).normal(3, 1, (rows, width, width)).astype(np.float32)


def volume(folder: Path, rows: int = ROWS, width: int = WIDTH) -> Volume:
    return Volume("s", folder, (rows, width, width), 0.00065, {"input": "s.h5"})


def slabs(rows: int = ROWS) -> Iterator[tuple[int, int]]:
    return ((start, min(start + BATCH, rows)) for start in range(0, rows, BATCH))


def fill(sink: SlabSink, data: NDArray[np.float32], limit: int | None = None) -> Product | None:
    """As reconstruct does it: asks first, then writes what is missing; with ``limit`` only that many slabs."""
    missing = [slab for slab in slabs(data.shape[0]) if not sink.has(*slab)]
    for start, stop in missing[:limit]:
        sink.write(start, data[start:stop])
    return None if limit is not None else sink.finish({"center": 47.5})


def level(store: Path, number: int) -> NDArray[Any]:
    return np.asarray(zarr.open_group(store, mode="r")[f"scale{number}/image"][:])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_slabs_become_a_store(tmp_path: Path, version: Version) -> None:
    data = truth()
    with zarr_sink(volume(tmp_path), version) as sink:
        product = fill(sink, data)
    assert product is not None
    assert product.path == tmp_path / "recs.zarr"
    files = [path for path in product.path.rglob("*") if path.is_file()]
    assert (product.files, product.bytes) == (len(files), sum(path.stat().st_size for path in files))
    assert np.array_equal(level(product.path, 0), data)
    for number in (1, 2):
        finer = level(product.path, number - 1)
        depth, height, width = (side // 2 * 2 for side in finer.shape)
        blocks = finer[:depth, :height, :width].reshape(depth // 2, 2, height // 2, 2, width // 2, 2).mean((1, 3, 5))
        assert np.allclose(level(product.path, number)[: depth // 2, : height // 2, : width // 2], blocks, atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["recs.zarr"], "nothing temporary is left"
    assert not [path for path in files if path.name.startswith(".band")]


def test_threads_bring_slabs_in_disorder(tmp_path: Path) -> None:
    data = truth()
    order = list(slabs())
    for at in range(0, len(order) - 3, 4):
        order[at : at + 4] = reversed(order[at : at + 4])
    with zarr_sink(volume(tmp_path)) as sink:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda slab: sink.write(slab[0], data[slab[0] : slab[1]].copy()), order))
        sink.finish({})
    assert np.array_equal(level(tmp_path / "recs.zarr", 0), data)


def test_the_slab_s_memory_may_be_used_again(tmp_path: Path) -> None:
    data, memory = truth(), np.empty((BATCH, WIDTH, WIDTH), np.float32)
    with zarr_sink(volume(tmp_path)) as sink:
        for start, stop in slabs():
            memory[: stop - start] = data[start:stop]
            sink.write(start, memory[: stop - start])
            memory.fill(np.nan)
        sink.finish({})
    assert np.array_equal(level(tmp_path / "recs.zarr", 0), data)


def test_batches_that_do_not_fit_bands(tmp_path: Path) -> None:
    data = truth(200)
    with zarr_sink(volume(tmp_path, 200)) as sink:
        for start in range(0, 200, 24):
            sink.write(start, data[start : start + 24])
        sink.finish({})
    assert np.array_equal(level(tmp_path / "recs.zarr", 0), data)


def test_finished_bands_are_known_after_a_stop(tmp_path: Path) -> None:
    data = truth()
    with zarr_sink(volume(tmp_path)) as sink:
        fill(sink, data, limit=12)  # band 0 and a part of band 1
    assert not (tmp_path / "recs.zarr").exists()
    with zarr_sink(volume(tmp_path)) as sink:
        assert [sink.has(*slab) for slab in slabs()] == [stop <= CHUNK for _, stop in slabs()]
        fill(sink, data)
    assert np.array_equal(level(tmp_path / "recs.zarr", 0), data)
    assert np.allclose(level(tmp_path / "recs.zarr", 1)[:64, 0, 0], data[:CHUNK, :2, :2].reshape(64, 2, 2, 2).mean((1, 2, 3)), atol=1e-6)


def test_a_band_whose_files_suffered_is_written_again(tmp_path: Path) -> None:
    """As after a power cut: the notes say finished, the files are empty."""
    data = truth()
    with zarr_sink(volume(tmp_path)) as sink:
        fill(sink, data, limit=16)  # bands 0 and 1, and so the first of level 1
    (tmp_path / ".recs.zarr.partial" / "scale0" / "image" / "0" / "0" / "0").write_bytes(b"")
    with zarr_sink(volume(tmp_path)) as sink:
        assert not sink.has(0, BATCH)
        assert sink.has(CHUNK, CHUNK + BATCH)
        fill(sink, data)
    assert np.array_equal(level(tmp_path / "recs.zarr", 0), data)


def test_a_store_of_another_form_does_not_go_on(tmp_path: Path) -> None:
    data = truth()
    with zarr_sink(volume(tmp_path), "0.4") as sink:
        fill(sink, data, limit=12)
    with zarr_sink(volume(tmp_path), "0.5") as sink:
        assert not sink.has(0, BATCH)
        fill(sink, data)
    assert np.array_equal(level(tmp_path / "recs.zarr", 0), data)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_every_file_is_on_disk_for_good_before_the_store_is_published(
    tmp_path: Path, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of a band that a run before had finished, which may not have come to it."""
    synced: set[Path] = set()
    monkeypatch.setattr(pyramid_module, "sync", lambda path: synced.add(path.relative_to(tmp_path / ".recs.zarr.partial")))
    data = truth()
    with zarr_sink(volume(tmp_path), version) as sink:
        fill(sink, data, limit=12)
    synced.clear()
    with zarr_sink(volume(tmp_path), version) as sink:
        fill(sink, data)
    assert synced == {path.relative_to(tmp_path / "recs.zarr") for path in (tmp_path / "recs.zarr").rglob("*") if path.is_file()}


def test_a_disk_that_refuses_late_is_said_before_the_store_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems find out that they are full only when they are told to make sure."""

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pyramid_module, "sync", full)
    with zarr_sink(volume(tmp_path)) as sink, pytest.raises(DiskFull):
        fill(sink, truth())
    assert not (tmp_path / "recs.zarr").exists()
    monkeypatch.undo()
    with zarr_sink(volume(tmp_path)) as sink:
        fill(sink, truth())
    assert np.array_equal(level(tmp_path / "recs.zarr", 0), truth())


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_zarrsink import fill, truth, volume
from als_assets.recon.volume.pyramid import Pyramid
from als_assets.recon.volume.zarrsink import zarr_sink
honest, written = Pyramid._strip, []
def strip(*given):
    written.append(honest(*given))
    if len(written) == 3:  # within the second band: the first is finished
        os.kill(os.getpid(), signal.SIGKILL)
    return written[-1]
Pyramid._strip = strip
with zarr_sink(volume(Path(sys.argv[1]), 300, 300)) as sink:
    fill(sink, truth(300, 300))
"""


def test_kill_9_within_a_band_leaves_nothing_half_and_the_rest_goes_on(tmp_path: Path) -> None:
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(here), str(here.parents[1])], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "recs.zarr").exists()
    data = truth(300, 300)
    with zarr_sink(volume(tmp_path, 300, 300)) as sink:
        sink.has(0, 1)
        fill(sink, data)
    assert np.array_equal(level(tmp_path / "recs.zarr", 0), data)
    assert not list((tmp_path / "recs.zarr").rglob("*.__lock")), "no temporary file of the killed run is published"


def test_only_one_process_writes_a_store(tmp_path: Path) -> None:
    with zarr_sink(volume(tmp_path)), pytest.raises(OutputBusy):
        zarr_sink(volume(tmp_path)).__enter__()


def test_missing_rows_are_no_store(tmp_path: Path) -> None:
    with zarr_sink(volume(tmp_path)) as sink:
        fill(sink, truth(), limit=12)
        with pytest.raises(OutputIncomplete, match=r"Bands \[1, 2\]"):
            sink.finish({})
    assert not (tmp_path / "recs.zarr").exists()


def test_a_full_disk_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match=r"has .* free"):
        zarr_sink(Volume("s", tmp_path, (10_000_000, 4096, 4096), 0.001, {})).__enter__()


LIMITED = """
import resource, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_zarrsink import fill, truth, volume
from als_assets.recon.errors import ReconError
from als_assets.recon.volume.zarrsink import zarr_sink
with zarr_sink(volume(Path(sys.argv[1]))) as sink:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        fill(sink, truth())
    except ReconError as error:
        print(type(error).__name__, error.sentence)
"""


def test_a_disk_that_fills_up_is_said_in_our_words(tmp_path: Path) -> None:
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), str(here), str(here.parents[1])], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("DiskFull The disk of ")


def test_little_memory_sends_bands_through_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_memory_bytes", lambda: 100)
    data = truth()
    sink = zarr_sink(volume(tmp_path))
    assert sink._in_memory == 0
    with sink:
        sink.write(0, data[:BATCH])
        assert isinstance(sink._open[0]._strips[0].base, np.memmap) or isinstance(sink._open[0]._strips[0], np.memmap)
        assert not list(tmp_path.glob(".recs.zarr.partial/.band-*")), "the file has no name: it goes with the process"
        for start, stop in list(slabs())[1:]:
            sink.write(start, data[start:stop])
        sink.finish({})
    assert np.array_equal(level(tmp_path / "recs.zarr", 0), data)


def test_memory_is_stated_and_kept(tmp_path: Path) -> None:
    large = zarr_sink(Volume("s", tmp_path, (2000, 1024, 1024), 0.001, {})).memory_bytes
    small = zarr_sink(Volume("s", tmp_path, (256, 1024, 1024), 0.001, {})).memory_bytes
    assert large < 2.5e9
    assert large < 1.2 * small, "more rows need no more memory, but for the smallest levels"


def test_level_bands_are_forgotten_when_written(tmp_path: Path) -> None:
    data = truth()
    with zarr_sink(volume(tmp_path)) as sink:
        fill(sink, data, limit=16)
        pyramid: Pyramid = sink._work.pyramid
        assert not sink._open
        assert len(pyramid._halves) <= len(pyramid.shapes) - 1
        fill(sink, data)
        assert not pyramid._halves


def test_the_record_goes_into_the_store(tmp_path: Path) -> None:
    with zarr_sink(volume(tmp_path, 20)) as sink:
        fill(sink, truth(20))
    attributes = json.loads((tmp_path / "recs.zarr" / ".zattrs").read_bytes())
    assert attributes["als_assets"]["reconstruction"] == {"center": 47.5}
    assert attributes["multiscales"][0]["name"] == "recs"
    assert attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == pytest.approx([0.65] * 3)


def test_both_results_of_one_pass_hold_the_same_values(tmp_path: Path) -> None:
    scan = ScanFile(rows=20, width=64).write(tmp_path / "s.h5")
    assert main(["reconstruct", str(scan), "--output", str(tmp_path), "--center", "31.5", "--both", "--zarr-format", "0.5"]) == 0
    slices = np.stack([tifffile.imread(path) for path in sorted((tmp_path / "recs").glob("*.tiff"))])
    assert np.array_equal(level(tmp_path / "recs.zarr", 0), slices)
    attributes = json.loads((tmp_path / "recs.zarr" / "zarr.json").read_bytes())["attributes"]
    assert attributes["als_assets"]["reconstruction"]["center"]["value"] == 31.5
