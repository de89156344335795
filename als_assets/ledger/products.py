"""What a copy is a copy of: the words of the column ``product``, which the rooms above share.

Here: the names. Not here: where products lie (facility file, ``compute``) and what their copies are worth (``retention``).
"""

from __future__ import annotations

RAW = "raw"
TIFF = "recon_tiff"
ZARR = "recon_zarr"
STAGED_RAW = "staged_raw"
"""A raw file that a job copied to its scratch: it never counts as a copy of the raw data, and can always be copied again."""
