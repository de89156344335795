"""Arrays of a store on disk in both generations of Zarr: how they are cut, compressed and opened.

Here: Zarr v2 with one file a chunk and Zarr v3 with many chunks in one file (shards), both Blosc-LZ4. What belongs here is the storage
(https://zarr-specs.readthedocs.io). Not here: what the arrays mean (``ngff.py``) and the order of writing (``pyramid.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from als_assets.recon.volume.levels import CHUNK, Triple

Version = Literal["0.4", "0.5"]
Pixels = Literal["float32", "uint16"]
_SHARD = 256  # voxels in y and x; encoding within a shard is serial, so that smaller ones use more cores
_SHARD_CHUNK = 64
METADATA = {".zgroup", ".zattrs", ".zarray", ".zmetadata", "zarr.json"}  # names of the files that hold no voxels


@dataclass(frozen=True)
class Form:
    """How a store is written: OME-Zarr ``version`` (0.4 is Zarr v2, 0.5 is Zarr v3 with shards) and the type of its ``pixels``."""

    version: Version = "0.4"
    pixels: Pixels = "float32"

    @property
    def strip(self) -> int:
        """Lines (y) of a band that are written at once: whole chunks or whole shards."""
        return CHUNK if self.version == "0.4" else _SHARD

    @property
    def zarr_format(self) -> int:
        """2 or 3."""
        return 2 if self.version == "0.4" else 3

    def create(self, store: Path, level: int, shape: Triple) -> Any:
        """The array of a level, open to write; one that is there already, as a killed run left it, is opened as it is."""
        metadata = self._v2(shape) if self.version == "0.4" else self._v3(shape)
        return _open({**self._where(store, level), "metadata": metadata, "open": True, "create": True})

    def open(self, store: Path, level: int) -> Any:
        """The array of a level, open to read. Raises ValueError (tensorstore's) when it is not there."""
        return _open({**self._where(store, level), "open": True})

    def band_folder(self, store: Path, level: int, index: int) -> Path:
        """Where the files of a band of ``CHUNK`` slices lie, no others with them."""
        array = store / level_path(level)
        return array / str(index) if self.version == "0.4" else array / "c" / str(index)

    def array_metadata(self, store: Path, level: int) -> Path:
        """The file that describes the array of a level."""
        return store / level_path(level) / (".zarray" if self.version == "0.4" else "zarr.json")

    def _where(self, store: Path, level: int) -> dict[str, Any]:
        place = {"driver": "file", "path": str((store / level_path(level)).absolute()), "file_io_sync": False}  # see pyramid.py
        return {"driver": "zarr" if self.version == "0.4" else "zarr3", "kvstore": place}

    def _v2(self, shape: Triple) -> dict[str, Any]:
        return {
            "shape": list(shape),
            "dtype": "<f4" if self.pixels == "float32" else "<u2",
            "chunks": [CHUNK] * 3,
            "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
            "dimension_separator": "/",
            "fill_value": 0,
            "order": "C",
            "filters": None,
        }

    def _v3(self, shape: Triple) -> dict[str, Any]:
        blosc = {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle"}}
        inner = [{"name": "bytes", "configuration": {"endian": "little"}}, blosc]
        index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
        sharding = {"chunk_shape": [_SHARD_CHUNK] * 3, "codecs": inner, "index_codecs": index, "index_location": "end"}
        return {
            "shape": list(shape),
            "data_type": self.pixels,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [CHUNK, _SHARD, _SHARD]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "fill_value": 0,
            "dimension_names": ["z", "y", "x"],
        }


def level_path(level: int) -> str:
    """Path of a level's array in its store: the layout that the viewers and the Tiled server at the ALS expect."""
    return f"scale{level}/image"


def _open(spec: dict[str, Any]) -> Any:
    import tensorstore

    return tensorstore.open(spec).result()
