"""How one of our identities logs in to Globus, for every room that talks to a Globus service.

Here: the client application of an identity (its tokens live in memory: one token request per process, none on disk) and what a
refusal by Globus Auth means. Not here: Transfer (``transfer``) and Compute (``compute``), which are what the tokens are for.
"""

from __future__ import annotations

import globus_sdk
from globus_sdk import ClientApp, ConfidentialAppAuthClient, GlobusAppConfig
from globus_sdk.transport import RetryConfig

from als_assets.errors import AlsError, CredentialsRejected, ServiceUnreachable
from als_assets.facility.identities import GlobusIdentity


def client_app(auth_url: str, identity: GlobusIdentity) -> ClientApp:
    """The application of a client identity. ``auth_url`` empty: the real Globus Auth.

    Raises:
        SecretUnavailable: id or secret cannot be read.
    """
    login = ConfidentialAppAuthClient(
        identity.client_id.read(),
        identity.client_secret.read(),
        base_url=auth_url or None,
        retry_config=RetryConfig(max_retries=2),
    )
    # A collection may want a consent: a service identity gives it to itself, once for each request that is refused for the lack of it.
    config = GlobusAppConfig(token_storage="memory", auto_redrive_gares=True)
    return ClientApp("als-assets", login_client=login, config=config)


def login_error(error: globus_sdk.AuthAPIError, name: str, identity: GlobusIdentity, doing: str) -> AlsError:
    """An outage of Globus Auth, or its refusal of the identity ``name``. ``doing`` completes 'while ...'."""
    if error.http_status >= 500 or error.http_status == 429:
        return ServiceUnreachable(f"Globus Auth answered {error.http_status} while {doing}.", next_step="It is tried again by itself.")
    return CredentialsRejected(
        f"Globus refused the credentials of the identity '{name}' while {doing}.",
        next_step=f"Put a valid secret into {identity.client_secret}, then re-execute from failure.",
        http_status=error.http_status,
    )
