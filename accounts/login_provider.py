"""How a request token comes to us: the one place to change where a desk logs in another way.

A provider says where a person is sent, and reads what came back. What becomes of the token — the exchange under the
account's lock, the check of its owner, the sealed session — is `accounts.credentials` and is no provider's business.
Only the interactive one ships: Kite has no other supported login, and a stored password with its one-time seed is
control of the whole account.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from accounts import credentials
from accounts.errors import LoginRefused
from accounts.models import BrokerAccount


@dataclass(frozen=True, slots=True)
class Granted:
    """A request token, and whose it is to be."""

    account_id: UUID
    request_token: str


class LoginProvider(Protocol):
    """One way to log an account in. Both methods may raise PlatformError, whose text a person reads."""

    def page(self, *, account: BrokerAccount, user_id: int) -> str:
        """Return the address this person is sent to; the way back is the platform's callback."""

    def answer(self, *, query: Mapping[str, str], user_id: int) -> Granted:
        """Return what the callback was told; raises LoginRefused for anything this person did not begin."""


class Interactive:
    """A person signs in at the broker's own page and is sent back with the token."""

    def page(self, *, account: BrokerAccount, user_id: int) -> str:
        """Return the broker's page for the account, with a signed state that lives for ten minutes."""
        state = credentials.login_state(account=account, user_id=user_id)
        return credentials.login_url(account=account, state=state)

    def answer(self, *, query: Mapping[str, str], user_id: int) -> Granted:
        """Return the token of a login that this person began."""
        account_id = credentials.account_of_state(state=query.get("account", ""), user_id=user_id)
        request_token = query.get("request_token", "")
        if query.get("status") != "success" or not request_token:
            raise LoginRefused("the broker's page reported no success: begin the login again")
        return Granted(account_id, request_token)


def login_provider() -> LoginProvider:
    """Return the provider the settings name."""
    return cast("LoginProvider", import_string(settings.LOGIN_PROVIDER)())
