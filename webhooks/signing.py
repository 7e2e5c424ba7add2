"""Signatures by the Standard Webhooks scheme, version v1: HMAC-SHA-256 over id, time and body."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final

PREFIX: Final = "whsec_"
# What the scheme wants of a key.
FEWEST_BYTES: Final = 24
MOST_BYTES: Final = 64
ID_HEADER: Final = "webhook-id"
TIME_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"


def check_secret(secret: str) -> None:
    """Raise ValueError where a secret is not whsec_ and the base64 of 24 to 64 bytes."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"a webhook secret begins with {PREFIX}")
    length = len(_key(secret))
    if not FEWEST_BYTES <= length <= MOST_BYTES:
        raise ValueError(f"a webhook secret is {FEWEST_BYTES} to {MOST_BYTES} bytes, was {length}")


def signature(*, secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return one signature; raises ValueError where the secret is not base64."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()


def headers(*, secrets_in_force: Iterable[str], message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Return the three headers; while a secret is being exchanged both sign."""
    signatures = [
        signature(secret=secret, message_id=message_id, timestamp=timestamp, body=body) for secret in secrets_in_force
    ]
    return {ID_HEADER: message_id, TIME_HEADER: str(timestamp), SIGNATURE_HEADER: " ".join(signatures)}


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError as error:
        raise ValueError("a webhook secret is base64") from error
