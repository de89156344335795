"""What staff change from day to day without a deploy: steps and sites on or off, order of preference, export, retention.

Here: the model of ``settings/<beamline>.yaml``, and reading it so that a bad edit keeps the last good one. Not here: the
fixed facility (``models``) and the decisions made from these settings (``defs``, ``retention``).
"""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from als_assets.errors import ConfigError
from als_assets.facility.base import Name, Strict
from als_assets.facility.load import load_model
from als_assets.facility.policy import Release
from als_assets.facility.retention import Retention


class Steps(Strict):
    """Which steps of a new scan run by themselves."""

    preview: bool = True
    raw_on_nersc: bool = True
    scicat_record: bool = True
    reconstruction: bool = True
    bring_back: bool = True


class Reconstruction(Strict):
    """Sites in order of preference, and parameters (see ``als recon parameters``) that hold for every scan."""

    sites: list[Name] = Field(default_factory=lambda: ["nersc", "als"])
    parameters: dict[str, Any] = Field(default_factory=dict)


class ExportControl(Strict):
    """Scans that must stay at the ALS: by proposal, by name pattern, and whenever the proposal is unknown."""

    proposals: list[str] = Field(default_factory=list)
    names: list[str] = Field(default_factory=list)
    unknown_proposal_stays: bool = True

    def classify(self, *, proposal: str | None, file_name: str, folder: str) -> Release:
        if proposal and proposal in self.proposals:
            return Release(False, f"proposal {proposal} is under export control")
        for pattern in self.names:
            if fnmatch.fnmatchcase(file_name, pattern) or fnmatch.fnmatchcase(f"{folder}/{file_name}", pattern):
                return Release(False, f"its name matches the export control pattern '{pattern}'")
        if not proposal and self.unknown_proposal_stays:
            return Release(False, "its proposal is unknown, and unknown stays")
        return Release(True, f"proposal {proposal or 'unknown'} is not under export control")


class Settings(Strict):
    """One beamline's settings. The dispatcher reads them at every tick."""

    quiet_s: Annotated[float, Field(ge=0)] = 10.0
    steps: Steps = Steps()
    sites: dict[Name, bool] = Field(default_factory=lambda: {"nersc": True, "als": True, "alcf": False, "olcf": False})
    reconstruction: Reconstruction = Reconstruction()
    export_control: ExportControl = ExportControl()
    retention: Retention = Retention()


@dataclass(frozen=True)
class LoadedSettings:
    """The settings in force; ``problem`` says why the file as it stands is not used."""

    settings: Settings
    problem: ConfigError | None = None


def read_settings(path: Path, keep_dir: Path) -> LoadedSettings:
    """The settings at ``path``, or the last good ones (kept in ``keep_dir``) together with the problem.

    Raises:
        ConfigError: the file is bad and there never was a good one.
    """
    kept = keep_dir / f"{path.stem}.last-good.yaml"
    try:
        settings = load_model(path, Settings)
    except ConfigError as problem:
        if not kept.exists():
            raise
        return LoadedSettings(load_model(kept, Settings), problem)
    text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=True)
    if not kept.exists() or kept.read_text() != text:
        keep_dir.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(text)
        fresh.replace(kept)
    return LoadedSettings(settings)
