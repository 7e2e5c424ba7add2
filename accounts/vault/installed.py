"""The provider this installation's settings name."""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from accounts.errors import KeyRingError, SealBroken
from accounts.vault.envelope import Place, seal, unseal
from accounts.vault.keyfile import KeyFileProvider
from accounts.vault.provider import KeyProvider
from accounts.vault.remembering import Remembering

# Named by their path, so that an installation loads the library of its own service alone.
SERVICES: Final[Mapping[str, str]] = {
    "aws_kms": "accounts.vault.kms.AwsKmsProvider",
    "transit": "accounts.vault.transit.TransitProvider",
}


def provider() -> KeyProvider:
    """Return the provider of the settings as they are now."""
    if settings.VAULT_PROVIDER == "keyfile":
        return KeyFileProvider(path=Path(settings.VAULT_KEY_FILE), refuse_automatic=settings.PRODUCTION)
    return _service(os.getpid(), settings.VAULT_PROVIDER, tuple(sorted(_options().items())))


def prove() -> str:
    """Seal and open a trial value and return the key that did it; raises KeyRingError or SealBroken."""
    chosen = provider()
    place = Place(installation=settings.INSTALLATION_ID, model="trial", field="trial", primary_key="trial")
    if unseal(sealed=seal(plaintext=b"trial", place=place, provider=chosen), place=place, provider=chosen) != b"trial":
        raise KeyRingError("the key provider does not return what it sealed")
    return chosen.writing_key_id()


def require() -> None:
    """Refuse to start in production where no secret can be sealed and opened."""
    if not settings.PRODUCTION:
        return
    try:
        prove()
    except (KeyRingError, SealBroken) as error:
        raise ImproperlyConfigured(str(error)) from error


def check(*_: Any, **__: Any) -> list[CheckMessage]:
    """Say whether secrets can be sealed and opened: a system check, in production before every command."""
    try:
        prove()
    except (KeyRingError, SealBroken) as error:
        return [Error(str(error), id="accounts.E001")]
    return []


def _options() -> dict[str, object]:
    """Return the settings of the chosen service, as its provider takes them."""
    if settings.VAULT_PROVIDER == "aws_kms":
        return {
            "keys": tuple(settings.VAULT_KEYS),
            "region": settings.VAULT_KMS_REGION,
            "endpoint": settings.VAULT_KMS_ENDPOINT,
        }
    if settings.VAULT_PROVIDER == "transit":
        return _transit_options()
    raise KeyRingError(f"VAULT_PROVIDER is keyfile, aws_kms or transit, was {settings.VAULT_PROVIDER!r}")


def _transit_options() -> dict[str, object]:
    url = settings.VAULT_TRANSIT_URL
    if settings.PRODUCTION and urlsplit(url).scheme != "https":
        raise KeyRingError("VAULT_TRANSIT_URL must be https:// in production")
    if len(settings.VAULT_KEYS) != 1:
        raise KeyRingError("VAULT_KEYS names the one transit key: its versions are the keys")
    return {
        "url": url,
        "key": settings.VAULT_KEYS[0],
        "token_file": Path(settings.VAULT_TRANSIT_TOKEN_FILE),
        "mount": settings.VAULT_TRANSIT_MOUNT,
        "ca_file": settings.VAULT_TRANSIT_CA_FILE,
    }


@lru_cache(maxsize=4)
def _service(process: int, name: str, options: tuple[tuple[str, Any], ...]) -> KeyProvider:
    """One client a process: a forked child must not share its parent's connections."""
    del process
    return Remembering(cast("KeyProvider", import_string(SERVICES[name])(**dict(options))))
