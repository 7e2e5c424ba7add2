"""Length-prefixed bytes: the one unambiguous way to put several strings into one."""

from collections.abc import Iterable

from accounts.errors import SealBroken

LENGTH_BYTES = 2


def pack(parts: Iterable[bytes]) -> bytes:
    """Return the parts, each behind its length."""
    return b"".join(len(part).to_bytes(LENGTH_BYTES, "big") + part for part in parts)


def unpack(packed: bytes, *, count: int) -> tuple[list[bytes], bytes]:
    """Return the first `count` parts and the rest."""
    parts, rest = [], packed
    for _ in range(count):
        length = int.from_bytes(rest[:LENGTH_BYTES], "big")
        part, rest = rest[LENGTH_BYTES : LENGTH_BYTES + length], rest[LENGTH_BYTES + length :]
        if len(part) != length:
            raise SealBroken("the sealed value is cut short")
        parts.append(part)
    return parts, rest
