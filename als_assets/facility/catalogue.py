"""The part of a facility file that SciCat needs: a file with nothing else is enough to try the catalogue on a test server.

Here: the model of that part, read from a small file or a whole one, and the release of a scan that is on no record. Not here: the other
parts (``models``), requests, and the record itself.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from als_assets.errors import ConfigError
from als_assets.facility.base import Name, Url
from als_assets.facility.identities import Identity, ScicatIdentity
from als_assets.facility.load import load_model
from als_assets.facility.models import Scicat
from als_assets.facility.policy import Release
from als_assets.facility.secrets import SecretRef
from als_assets.facility.settings import ExportControl, Settings


class _Part(BaseModel):
    """What is not about SciCat is checked by ``als config check`` and left alone here."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Premises(_Part):
    on_premises: bool = False


class BeamlineRules(_Part):
    settings: Path | None = None


class CatalogueFile(_Part):
    """``scicat`` and ``identities`` are needed. ``sites`` says whether SciCat is on the premises, ``state_dir`` or ``ledger_url`` where
    the record of scans is, ``beamlines`` which settings hold the export rules."""

    scicat: Scicat
    identities: dict[Name, Identity]
    sites: dict[Name, Premises] = Field(default_factory=dict)
    beamlines: dict[Name, BeamlineRules] = Field(default_factory=dict)
    state_dir: Path | None = None
    ledger_url: SecretRef | None = None
    board_url: Url = ""

    @property
    def on_premises(self) -> bool:
        site = self.sites.get(self.scicat.site)
        return site is not None and site.on_premises

    def classify(self, beamline: str, *, proposal: str | None, file_name: str, folder: str) -> Release:
        """What the beamline's export rules say; without settings, a scan whose proposal is unknown stays."""
        rules = self.beamlines.get(beamline, BeamlineRules()).settings
        control = ExportControl() if rules is None else load_model(rules, Settings).export_control
        return control.classify(proposal=proposal, file_name=file_name, folder=folder)


def load_catalogue_file(path: Path) -> CatalogueFile:
    """Read a facility file as far as SciCat is concerned. Relative paths in it are taken from the folder of the file.

    Raises:
        ConfigError: unreadable, not YAML, or wrong; the sentence names file, line and reason.
    """
    found = load_model(path, CatalogueFile)
    for place in ("identity", "lifecycle_identity"):
        name = getattr(found.scicat, place)
        if name is not None and not isinstance(found.identities.get(name), ScicatIdentity):
            raise ConfigError(
                f"{path}: scicat.{place}: '{name}' is no identity of kind scicat.",
                next_step="Add it under 'identities', with 'kind: scicat', 'username' and 'password'.",
            )
    base = path.resolve().parent
    beamlines = {
        name: rules if rules.settings is None else BeamlineRules(settings=base / rules.settings) for name, rules in found.beamlines.items()
    }
    identities = {
        name: identity.model_copy(update={key: ref.below(base) for key, ref in identity if isinstance(ref, SecretRef)})
        for name, identity in found.identities.items()
    }
    return found.model_copy(
        update={
            "beamlines": beamlines,
            "identities": identities,
            "state_dir": None if found.state_dir is None else base / found.state_dir,
            "ledger_url": None if found.ledger_url is None else found.ledger_url.below(base),
        }
    )
