"""The correlation tag: twenty characters that name one attempt of one intent, with a checksum."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
VERSION = 1
LENGTH = 20
NUMBER_BITS = 62
MAX_ATTEMPT = 1023
# CRC-10 finds every burst of up to ten bits: each changed character and each swap of neighbours.
CRC_POLYNOMIAL = 0x233
CRC_BITS = 10
# Widths in characters of five bits: version, installation, intent number, attempt number.
WIDTHS = (1, 2, 13, 2)


class ForeignTag(Exception):
    """The text is not a tag of this platform."""


@dataclass(frozen=True, slots=True)
class Tag:
    """What a tag says."""

    installation: int
    number: int
    attempt: int


def encode(tag: Tag) -> str:
    """Return the twenty characters: version, installation, number, attempt, check."""
    fields = (VERSION, tag.installation, tag.number, tag.attempt)
    body = "".join(_digits(value, width) for value, width in zip(fields, WIDTHS, strict=True))
    return body + _digits(_checksum(body), 2)


def decode(text: str) -> Tag:
    """Return what the text says; raise ForeignTag where form, version or check are not ours."""
    if len(text) != LENGTH or not set(text) <= set(ALPHABET):
        raise ForeignTag("not twenty base32 characters")
    body, check = text[:-2], text[-2:]
    if _digits(_checksum(body), 2) != check:
        raise ForeignTag("the check characters do not fit")
    values = []
    for width in WIDTHS:
        values.append(_value(body[:width]))
        body = body[width:]
    version, installation, number, attempt = values
    if version != VERSION:
        raise ForeignTag(f"version {version} is not known")
    return Tag(installation=installation, number=number, attempt=attempt)


def installation_code(name: str) -> int:
    """Return the ten bits that stand for an installation's name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:2]) & 0x3FF


def number_of(order_id: UUID) -> int:
    """Return the random part of an order's id, its number in tags; a restored backup cannot issue it twice."""
    return order_id.int & ((1 << NUMBER_BITS) - 1)


def _digits(value: int, width: int) -> str:
    if not 0 <= value < 1 << (5 * width):
        raise ValueError(f"{value} does not fit {width} characters")
    return "".join(ALPHABET[value >> (5 * place) & 31] for place in reversed(range(width)))


def _value(text: str) -> int:
    value = 0
    for character in text:
        value = value << 5 | ALPHABET.index(character)
    return value


def _checksum(body: str) -> int:
    bits = len(body) * 5
    remainder = _value(body) << CRC_BITS
    divisor = 1 << CRC_BITS | CRC_POLYNOMIAL
    for place in reversed(range(bits)):
        if remainder >> (place + CRC_BITS) & 1:
            remainder ^= divisor << place
    return remainder
