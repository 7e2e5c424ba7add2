"""The provider this installation's settings name."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from accounts.errors import KeyRingError
from accounts.vault.keyfile import KeyFileProvider
from accounts.vault.provider import KeyProvider


def provider() -> KeyProvider:
    """Return the provider of the settings as they are now."""
    return KeyFileProvider(path=Path(settings.VAULT_KEY_FILE), refuse_automatic=settings.PRODUCTION)


def check(*_: Any, **__: Any) -> list[CheckMessage]:
    """Say whether secrets can be sealed: a check of `manage.py check --deploy`."""
    try:
        provider().writing_key_id()
    except KeyRingError as error:
        return [Error(str(error), id="accounts.E001")]
    return []
