"""Checksums are plain SHA-256 over the joined texts."""

from hashlib import sha256

from kite.checksum import postback_checksum, session_checksum


def test_a_session_checksum_joins_key_request_token_and_secret() -> None:
    made = session_checksum(api_key="abc", request_token="def", api_secret="ghi")

    # Known digest of "abcdefghi".
    assert made == "19cc02f26df43cc571bc9ed7b0c4d29224a3ec229529221725ef76d021c8326f"


def test_a_postback_checksum_joins_order_time_and_secret() -> None:
    made = postback_checksum(order_id="1", order_timestamp="2022-03-03 09:24:25", api_secret="s")

    assert made == sha256(b"12022-03-03 09:24:25s").hexdigest()
