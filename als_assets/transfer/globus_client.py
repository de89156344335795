"""The Globus client of one identity, and its errors in our words.

Here: construction (credentials read at first use, addresses from the facility), and the translation of every SDK error. Not here:
what is asked of it (``globus``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import globus_sdk
from globus_sdk import ClientApp, TransferClient
from globus_sdk.transport import RetryConfig

from als_assets.errors import CredentialsRejected, ServiceUnreachable, TransferFailed, TransferNeedsPerson
from als_assets.facility.identities import GlobusIdentity
from als_assets.facility.models import Globus
from als_assets.globus_tokens import client_app, login_error


class GlobusClient:
    """A Transfer client for one service identity, which gives itself the consents that collections want (once per request)."""

    def __init__(self, globus: Globus, identity_name: str, identity: GlobusIdentity) -> None:
        self._globus = globus
        self._identity = identity
        self.identity_name = identity_name

    def __repr__(self) -> str:
        return f"GlobusClient({self.identity_name})"

    @cached_property
    def _app(self) -> ClientApp:
        return client_app(self._globus.auth_url, self._identity)

    @cached_property
    def transfer(self) -> TransferClient:
        return TransferClient(app=self._app, base_url=self._globus.transfer_url or None, retry_config=RetryConfig(max_retries=3))

    def close(self) -> None:
        """Close the connections, if any were opened; the next request opens new ones."""
        for name in ("transfer", "_app"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    @contextmanager
    def translated(self, doing: str) -> Iterator[TransferClient]:
        """The client, with SDK errors raised as ours. ``doing`` completes 'while ...'.

        Raises:
            CredentialsRejected, ServiceUnreachable, TransferNeedsPerson (a consent or login is missing), TransferFailed.
        """
        try:
            yield self.transfer
        except globus_sdk.AuthAPIError as error:
            raise login_error(error, self.identity_name, self._identity, doing) from error
        except globus_sdk.TransferAPIError as error:
            raise self._transfer_error(error, doing) from error
        except globus_sdk.NetworkError as error:
            raise ServiceUnreachable(
                f"Globus did not answer while {doing}.", next_step="It is tried again by itself; see status.globus.org."
            ) from error

    def _transfer_error(self, error: globus_sdk.TransferAPIError, doing: str) -> Exception:
        words = f"{error.code}: {error.message}"
        if error.info.consent_required or error.info.authorization_parameters:
            return TransferNeedsPerson(
                f"Globus wants a consent or a login for the identity '{self.identity_name}' while {doing} ({words}).",
                next_step="It could not give it to itself: an operator gives the consent in the message, then re-executes from failure.",
                required_scopes=error.info.consent_required.required_scopes if error.info.consent_required else None,
            )
        if error.http_status == 401:
            return self._refused(doing)
        if error.http_status == 429 or error.http_status >= 500:
            return ServiceUnreachable(
                f"Globus answered {error.http_status} while {doing} ({words}).", next_step="It is tried again by itself.", code=error.code
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
