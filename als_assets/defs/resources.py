"""The one Dagster resource: the platform of a facility file.

Here: the way from a path in the configuration to the live platform, shared by all steps of a process. Not here: construction
(``als_assets.platform``).
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from als_assets.platform import Platform, platform_of


class PlatformResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """``facility_file``: path of the facility file. It holds no secret, and neither does this resource's run config."""

    facility_file: str

    @property
    def platform(self) -> Platform:
        """Raises ConfigError."""
        return platform_of(Path(self.facility_file))
