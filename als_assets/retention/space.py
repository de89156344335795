"""Free space at locations, for the pressure rules.

Here: reading it where this machine sees the disk. Not here: what follows from it (``plan``). Of other locations nothing is known, and a
pressure rule on one does nothing.
"""

from __future__ import annotations

import shutil

from als_assets.facility import Facility


def mounted_space(facility: Facility) -> dict[str, int]:
    """Location -> free bytes, for mounted locations whose folder can be read now."""
    free: dict[str, int] = {}
    for name, place in facility.locations.items():
        if place.mounted:
            try:
                free[name] = shutil.disk_usage(place.site_root).free
            except OSError:
                continue  # not mounted now: nothing is known, and no rule of pressure applies
    return free
