"""Who the platform is at each service: the names of secret files and variables, never a value.

Here: one model per kind of credential. Not here: reading a secret (``secrets``) and which service uses which identity (``models``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from als_assets.facility.base import Strict
from als_assets.facility.secrets import SecretRef


class GlobusIdentity(Strict):
    kind: Literal["globus"]
    client_id: SecretRef
    client_secret: SecretRef


class SfapiIdentity(Strict):
    """A NERSC Superfacility API client: its id, and its private key as a JWK (JSON) or PEM file."""

    kind: Literal["sfapi"]
    client_id: SecretRef
    key: SecretRef


class ScicatIdentity(Strict):
    kind: Literal["scicat"]
    username: SecretRef
    password: SecretRef


class TokenIdentity(Strict):
    """A bearer token that a person made (OLCF: a project access token from myOLCF) or that another program renews (ALCF: Globus).
    It is read again for every request that the site refuses, so a new one needs no restart."""

    kind: Literal["token"]
    token: SecretRef


Identity = Annotated[GlobusIdentity | SfapiIdentity | ScicatIdentity | TokenIdentity, Field(discriminator="kind")]
