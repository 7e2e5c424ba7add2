"""Checksums Kite asks for and Kite sends: lowercase hexadecimal SHA-256."""

import hashlib


def session_checksum(*, api_key: str, request_token: str, api_secret: str) -> str:
    return _digest(api_key + request_token + api_secret)


def postback_checksum(*, order_id: str, order_timestamp: str, api_secret: str) -> str:
    """Return the checksum of an HTTP postback; it covers neither status nor quantities, so a match is only a hint."""
    return _digest(order_id + order_timestamp + api_secret)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
