"""The accounts that the platform has on SciCat: one that ingests, and one that may change what it does not own.

Here: which of them is tried for what. Not here: requests (``client``), and which rights each has (``rights``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from als_assets.catalogue.client import CatalogueClient, MayLeave
from als_assets.catalogue.settings import settings_of
from als_assets.errors import CatalogueRefused
from als_assets.facility.identities import Identity, ScicatIdentity
from als_assets.facility.models import Scicat

T = TypeVar("T")


@dataclass(frozen=True)
class Accounts:
    """``lifecycle`` is an admin or a member of SciCat's lifecycle group; without it everything is tried as ``ingest``, which may
    change a record only where it belongs to the owner's group."""

    ingest: CatalogueClient
    lifecycle: CatalogueClient | None = None

    def changing(self, act: Callable[[CatalogueClient], T]) -> T:
        """Do what changes a record with the account that has the right; CatalogueRefused where none has."""
        if self.lifecycle is None:
            return act(self.ingest)
        try:
            return act(self.lifecycle)
        except CatalogueRefused as refused:
            if refused.details.get("status") != 403:
                raise
        return act(self.ingest)

    def close(self) -> None:
        """Close the connections."""
        self.ingest.close()
        if self.lifecycle is not None:
            self.lifecycle.close()


def open_accounts(scicat: Scicat, identities: Mapping[str, Identity], may_leave: MayLeave) -> Accounts:
    """The accounts of a facility file. Raises SecretUnavailable."""
    lifecycle = scicat.lifecycle_identity
    return Accounts(
        _client(scicat, identities[scicat.identity], may_leave),
        None if lifecycle is None else _client(scicat, identities[lifecycle], may_leave),
    )


def _client(scicat: Scicat, identity: Identity, may_leave: MayLeave) -> CatalogueClient:
    assert isinstance(identity, ScicatIdentity)  # checked when the file was loaded
    return CatalogueClient(settings_of(scicat, identity), may_leave)
