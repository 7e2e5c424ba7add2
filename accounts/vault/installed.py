"""The provider this installation's settings name."""

from pathlib import Path

from django.conf import settings

from accounts.vault.keyfile import KeyFileProvider
from accounts.vault.provider import KeyProvider


def provider() -> KeyProvider:
    """Return the provider of the settings as they are now."""
    return KeyFileProvider(path=Path(settings.VAULT_KEY_FILE), refuse_automatic=settings.PRODUCTION)
