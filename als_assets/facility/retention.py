"""The retention policy as staff write it: which copies may go, when, and what must be left of the data.

Here: the model of the table ``retention`` of a settings file (also read alone, for a what-if). Not here: the plan that follows from it
(``als_assets.retention``), and where locations are (``models``).
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from als_assets.facility.base import Name, Strict
from als_assets.facility.models import LocationClass

Days = Annotated[float, Field(ge=0)]


class RawLeft(Strict):
    """What must be left of a scan's raw data, verified, when one raw copy goes. ``archive``: one of them in a location of class
    archive, where the beamline has one. At least one is always at another site than the copy that goes."""

    copies: Annotated[int, Field(ge=1)] = 2
    sites: Annotated[int, Field(ge=1)] = 2
    archive: bool = True

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.sites > self.copies:
            raise ValueError(f"{self.copies} copies cannot be at {self.sites} sites")
        return self

    def at_least(self, other: RawLeft) -> RawLeft:
        """The stricter of both, number by number."""
        sites, archive = max(self.sites, other.sites), self.archive or other.archive
        return RawLeft(copies=max(self.copies, other.copies), sites=sites, archive=archive)


class RetentionRule(Strict):
    """When a verified copy may go: so long after it was first proven there, and with that much left of it elsewhere.

    ``verified_copies_elsewhere`` is for products: copies at that many other sites (a product that can be made again needs none, see
    ``als_assets.retention.plan``); ``raw`` is for raw data. A proof older than ``proof_max_age_days`` must be repeated first.
    """

    min_age_days: Days
    verified_copies_elsewhere: Annotated[int, Field(ge=1)] = 1
    raw: RawLeft = RawLeft()
    proof_max_age_days: Annotated[float, Field(gt=0)] = 7.0


class Pressure(Strict):
    """When less than this is free at a location, products there go before their age until that much is free: first those that can be
    made again, then those that can be fetched, the oldest first. Every other condition stays in force, and raw data never goes so."""

    free_below_gb: Annotated[float, Field(gt=0)]

    @property
    def free_below_bytes(self) -> int:
        return int(self.free_below_gb * 1e9)


class Retention(Strict):
    """The whole policy. ``locations`` wins over ``rules``; a place with neither is never pruned, nor is one of a class in
    ``never_delete``. ``first_raw`` holds for the first raw copy of a scan to go, whatever the rule of its location says."""

    enabled: bool = True
    grace_hours: Days = 24.0
    never_delete: list[LocationClass] = Field(default_factory=lambda: [LocationClass.ARCHIVE, LocationClass.VIEW])
    first_raw: RawLeft = RawLeft()
    rules: dict[LocationClass, RetentionRule] = Field(default_factory=lambda: {LocationClass.SCRATCH: RetentionRule(min_age_days=14.0)})
    locations: dict[Name, RetentionRule] = Field(default_factory=dict)
    pressure: dict[Name, Pressure] = Field(default_factory=dict)
    retire_after_days: Days = 180.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.rules:
            if name in self.never_delete:
                raise ValueError(f"rules.{name}: the class '{name}' is in never_delete, so it cannot have a rule")
        return self

    def rule_for(self, location_name: str, location_class: LocationClass) -> RetentionRule | None:
        """The rule of a location; None: nothing there is ever deleted."""
        if location_class in self.never_delete:
            return None
        return self.locations.get(location_name) or self.rules.get(location_class)
