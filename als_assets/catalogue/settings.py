"""Plain settings of the catalogue: where SciCat is, who we are there, and what is the same in every record.

Here: values with defaults and their checks. Not here: reading configuration files or secrets; the password comes from a
function that is called when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote

from als_assets.facility.identities import ScicatIdentity
from als_assets.facility.models import Scicat

_ALIASES = MappingProxyType({"bl832": "8.3.2", "832": "8.3.2", "bl8.3.2": "8.3.2"})


@dataclass(frozen=True)
class RecordSettings:
    """What is the same in every record of a beamline.

    ``pid_prefix`` comes before the slash of every identifier. ``staff_group`` sees all records and owns those without a
    proposal; ``ingest_group`` is the ingest account's own group, without which it cannot read back what it wrote.
    """

    pid_prefix: str = "als"
    staff_group: str = "8.3.2"
    ingest_group: str = "ingestor"
    beamline_aliases: Mapping[str, str] = field(default_factory=lambda: _ALIASES)
    fallback_contact: str = "unknown@example.com"
    technique_pid: str = "PaNET01108"
    technique_name: str = "x-ray tomography"
    keywords: tuple[str, ...] = ("tomography",)
    data_format: str = "HDF5, DX layout of ALS beamline 8.3.2"
    instrument_id: str | None = None


@dataclass(frozen=True)
class CatalogueSettings:
    """One SciCat and one account on it.

    ``api_url`` ends in /api/v3 (it is added where it is missing); ``frontend_url`` is where people look. ``timeout_s`` holds
    for every single request, login included. Outages are retried ``attempts`` times with growing waits between ``wait_s`` and
    ``max_wait_s``. ``patience_s``: how long another ingest of the same record may take to add its files before we add them.
    """

    api_url: str
    frontend_url: str
    username: str
    password_provider: Callable[[], str] = field(repr=False)
    records: RecordSettings = field(default_factory=RecordSettings)
    timeout_s: float = 20.0
    attempts: int = 5
    wait_s: float = 1.0
    max_wait_s: float = 30.0
    patience_s: float = 15.0

    def api(self, version: str) -> str:
        """The root of API ``version`` (v3, v4), without a slash at its end."""
        base = self.api_url.rstrip("/")
        for known in ("/v3", "/v4"):
            base = base.removesuffix(known)
        if not base.endswith("/api"):
            base += "/api"
        return f"{base}/{version}"

    def record_url(self, pid: str) -> str:
        """The page of a dataset in the frontend."""
        return f"{self.frontend_url.rstrip('/')}/datasets/{quote(pid, safe='')}"

    def proposal_url(self, proposal: str) -> str:
        """The page of a proposal in the frontend."""
        return f"{self.frontend_url.rstrip('/')}/proposals/{quote(proposal, safe='')}"


def settings_of(scicat: Scicat, identity: ScicatIdentity) -> CatalogueSettings:
    """The settings of one account, from a facility file. Reads the user's name; the password is read when it is needed.

    Raises:
        SecretUnavailable: the name cannot be read.
    """
    records = RecordSettings(
        pid_prefix=scicat.pid_prefix,
        staff_group=scicat.staff_group,
        ingest_group=scicat.ingest_group,
        beamline_aliases=scicat.beamline_aliases,
        fallback_contact=scicat.fallback_contact,
        instrument_id=scicat.instrument_id,
    )
    return CatalogueSettings(
        api_url=scicat.api_url,
        frontend_url=scicat.frontend_url,
        username=identity.username.read(),
        password_provider=identity.password.read,
        records=records,
        timeout_s=scicat.timeout_s,
        attempts=scicat.attempts,
    )
