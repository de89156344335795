"""The Globus client of one identity, and its errors in our words.

Here: construction (credentials read at first use, addresses from the facility), and the translation of every SDK error. Not here:
what is asked of it (``globus``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import globus_sdk
from globus_sdk import ClientApp, ConfidentialAppAuthClient, GlobusAppConfig, TransferClient
from globus_sdk.transport import RetryConfig

from als_assets.errors import CredentialsRejected, ServiceUnreachable, TransferFailed, TransferNeedsPerson
from als_assets.facility.identities import GlobusIdentity
from als_assets.facility.models import Globus


class GlobusClient:
    """A Transfer client for one service identity. Tokens live in memory: one token request per process, none on disk."""

    def __init__(self, globus: Globus, identity_name: str, identity: GlobusIdentity) -> None:
        self._globus = globus
        self._identity = identity
        self.identity_name = identity_name

    def __repr__(self) -> str:
        return f"GlobusClient({self.identity_name})"

    @cached_property
    def transfer(self) -> TransferClient:
        login = ConfidentialAppAuthClient(
            self._identity.client_id.read(),
            self._identity.client_secret.read(),
            base_url=self._globus.auth_url or None,
            retry_config=RetryConfig(max_retries=2),
        )
        app = ClientApp("als-assets", login_client=login, config=GlobusAppConfig(token_storage="memory"))
        return TransferClient(app=app, base_url=self._globus.transfer_url or None, retry_config=RetryConfig(max_retries=3))

    @contextmanager
    def translated(self, doing: str) -> Iterator[TransferClient]:
        """The client, with SDK errors raised as ours. ``doing`` completes 'while ...'.

        Raises:
            CredentialsRejected, ServiceUnreachable, TransferNeedsPerson (a consent or login is missing), TransferFailed.
        """
        try:
            yield self.transfer
        except globus_sdk.AuthAPIError as error:
            raise self._auth_error(error, doing) from error
        except globus_sdk.TransferAPIError as error:
            raise self._transfer_error(error, doing) from error
        except globus_sdk.NetworkError as error:
            raise ServiceUnreachable(
                f"Globus did not answer while {doing}.", next_step="It is tried again by itself; see status.globus.org."
            ) from error

    def _auth_error(self, error: globus_sdk.AuthAPIError, doing: str) -> Exception:
        if error.http_status >= 500 or error.http_status == 429:
            return ServiceUnreachable(f"Globus Auth answered {error.http_status} while {doing}.", next_step="It is tried again by itself.")
        return CredentialsRejected(
            f"Globus refused the credentials of the identity '{self.identity_name}' while {doing}.",
            next_step=f"Put a valid secret into {self._identity.client_secret}, then re-execute from failure.",
            http_status=error.http_status,
        )

    def _transfer_error(self, error: globus_sdk.TransferAPIError, doing: str) -> Exception:
        words = f"{error.code}: {error.message}"
        if error.info.consent_required or error.info.authorization_parameters:
            return TransferNeedsPerson(
                f"Globus wants a consent or a login for the identity '{self.identity_name}' while {doing} ({words}).",
                next_step="An operator gives the consent named in the Globus message, then re-executes from failure.",
            )
        if error.http_status == 401:
            return self._auth_error(error, doing) if isinstance(error, globus_sdk.AuthAPIError) else self._refused(doing)
        if error.http_status == 429 or error.http_status >= 500:
            return ServiceUnreachable(
                f"Globus answered {error.http_status} while {doing} ({words}).", next_step="It is tried again by itself."
            )
        return TransferFailed(
            f"Globus refused while {doing} ({words}).",
            next_step="Check the path and the access rules of the collection, then re-execute from failure.",
            code=error.code,
            http_status=error.http_status,
        )

    def _refused(self, doing: str) -> CredentialsRejected:
        return CredentialsRejected(
            f"Globus refused the token of the identity '{self.identity_name}' while {doing}.",
            next_step=f"Check {self._identity.client_secret}, then re-execute from failure.",
        )
