"""Neuroglancer's own program, as its Python package ships it, and the state in which it opens a volume.

Here: its files behind addresses and the description of a view (https://neuroglancer-docs.web.app). Not here: volumes (``stores``) and
pages. The program is served to the browser only; it reaches no address but the board's.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse, Response

from als_assets.board.stores import Store
from als_assets.errors import ConfigError

# The program compiles WebAssembly, starts workers and writes styles into its page; it must not load or send anything elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self' data: blob:; "
    "img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm"}
_METRES = {"angstrom": 1e-10, "nanometer": 1e-9, "micrometer": 1e-6, "millimeter": 1e-3, "centimeter": 1e-2, "meter": 1.0}
_SHADER = "#uicontrol invlerp normalized\nvoid main() { emitGrayscale(normalized()); }\n"
_SCREEN = 330  # pixels of a quarter of a usual window, which the volume fills at first


def client_folder() -> Path:
    """Where the program is. Raises ConfigError where its package is not installed."""
    found = importlib.util.find_spec("neuroglancer")
    folder = Path(found.origin).parent / "static" / "client" if found is not None and found.origin else None
    if folder is None or not (folder / "index.html").is_file():
        raise ConfigError(
            "The viewer is not installed: the Python package neuroglancer is missing.",
            next_step="Install it beside the board: pip install 'als-assets[viewer]'",
        )
    return folder


def client_file(name: str) -> Response:
    """A file of the program. Raises ConfigError as ``client_folder``."""
    folder = client_folder()
    path = folder / (name or "index.html")
    if name != Path(name).name or path.suffix not in _TYPES or not path.is_file():
        return Response(status_code=404)
    # names hold a digest of the content, but for the page itself
    keep = "no-cache" if path.suffix == ".html" else "max-age=86400"
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Content-Security-Policy": POLICY, "Cache-Control": keep})


def state(store: Store, shape: Sequence[int], address: str) -> dict[str, Any]:
    """The view in which a volume opens: three planes through its middle and the volume between them.

    ``shape`` of full size, in the order of the store's axes; ``address`` of the store, ending in a slash; the page makes it
    absolute, because only the browser knows by which name it reached this machine.
    """
    axes = [str(axis.get("name")) for axis in store.image.get("axes", [])]
    scales = _scales_m(store, axes)
    middle = {name: size / 2 for name, size in zip(axes, shape, strict=True)}
    largest = max((size for name, size in zip(axes, shape, strict=True) if name in "xyz"), default=1)
    names = [name for name in "xyz" if name in axes]
    label = str(store.image.get("name") or store.folder.name)
    return {
        "dimensions": {name: list(scales[name]) for name in names},
        "position": [middle[name] for name in names],
        "crossSectionScale": largest / _SCREEN,
        "projectionScale": largest * 1.6,
        "layers": [
            {
                "type": "image",
                "name": label,
                "source": f"{address}|zarr{store.zarr}:",
                "shader": _SHADER,
                "shaderControls": {"normalized": _window(store.omero)},
            }
        ],
        "layout": "4panel",
        "showSlices": True,
        "showAxisLines": False,
        "crossSectionBackgroundColor": "#000000",
        "selectedLayer": {"visible": False, "layer": label},
    }


def _scales_m(store: Store, axes: Sequence[str]) -> dict[str, tuple[float, str]]:
    units = {str(axis.get("name")): _METRES.get(str(axis.get("unit")), 1e-6) for axis in store.image.get("axes", [])}
    steps = store.image.get("datasets", [{}])[0].get("coordinateTransformations", [])
    scale = next((step["scale"] for step in steps if step.get("type") == "scale"), [1.0] * len(axes))
    return {name: (float(size) * units[name], "m") for name, size in zip(axes, scale, strict=True)}


def _window(omero: Mapping[str, Any]) -> dict[str, list[float]]:
    channels = omero.get("channels")
    window = channels[0].get("window") if isinstance(channels, list) and channels and isinstance(channels[0], dict) else None
    if not isinstance(window, dict) or not all(isinstance(window.get(name), (int, float)) for name in ("start", "end", "min", "max")):
        return {}
    low, high = min(window["min"], window["start"]), max(window["max"], window["end"])
    return {"range": [window["start"], window["end"]], "window": [low, high]}
