"""What redis-py hands back, in one type. Pure."""


def entries(answer: object) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return a stream's entries: redis-py gives a list of pairs over RESP 2 and a mapping over RESP 3."""
    if not answer:
        return []
    if isinstance(answer, dict):
        nested = next(iter(answer.values()))
        return list(nested[0]) if nested and isinstance(nested[0], list) else list(nested)
    return list(answer[0][1])  # type: ignore[index]


def as_bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def as_text(value: object) -> str:
    """Return a value as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def order_of(offset: str) -> tuple[int, int]:
    """Return what orders the offsets of a stream."""
    milliseconds, _, number = offset.partition("-")
    return int(milliseconds), int(number or 0)
