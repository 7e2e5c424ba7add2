"""Answers on the wire and what each means for an order and for a read; reliability rules, one line each."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass

from kite.errors import KiteError, OutcomeUnknown, Refused, SessionExpired, Throttled, Unavailable
from tests.kite.wire_server import Act, Step, Trickle, http

ORDER = b'{"status":"success","data":{"order_id":"151220000000000"}}'
HTML = b"<html><body><h1>Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Recorded:
    """`order` and `read` are the errors expected; None is an acknowledged order."""

    name: str
    steps: Sequence[Step]
    order: type[KiteError] | None
    read: type[KiteError]
    error_type: str = ""
    status: int | None = None


def error(status: int, error_type: str, message: str = "No.") -> bytes:
    body = {"status": "error", "message": message, "error_type": error_type, "data": None}
    return http(status, json.dumps(body).encode())


def _page(status: int) -> bytes:
    return http(status, HTML, content_type="text/html")


def _lying(body: bytes, length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (length, body)


def _chunked(*chunks: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(chunks)


GZIP = "Content-Encoding: gzip\r\n"
PACKED = gzip.compress(ORDER)

ACKNOWLEDGED = [
    Recorded("order id", [http(200, ORDER)], None, Unavailable),
    Recorded("order id as a number", [http(200, b'{"status":"success","data":{"order_id":15122}}')], None, Unavailable),
    Recorded("order id compressed", [http(200, PACKED, extra=GZIP)], None, Unavailable),
    Recorded("order id without content type", [http(200, ORDER, content_type="")], None, Unavailable),
    Recorded("order id called text", [http(200, ORDER, content_type="text/html")], None, Unavailable),
    Recorded("order id in chunks", [_chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(ORDER), ORDER))], None, Unavailable),
    Recorded("order id in two writes", [http(200, ORDER)[:120], http(200, ORDER)[120:]], None, Unavailable),
]

# Kite said 200, but not what it did.
UNPROVED = [
    Recorded(name, [said], OutcomeUnknown, Unavailable, status=200)
    for name, said in {
        "200 with half a body": http(200, ORDER[:30]),
        "200 without data": http(200, b'{"status":"success"}'),
        "200 with null data": http(200, b'{"status":"success","data":null}'),
        "200 without an order id": http(200, b'{"status":"success","data":{"other":1}}'),
        "200 with an empty order id": http(200, b'{"status":"success","data":{"order_id":""}}'),
        "200 with a text for data": http(200, b'{"status":"success","data":"151220000000000"}'),
        "200 with a page": http(200, HTML, content_type="text/html"),
        "200 with nothing": http(200),
        "200 cut inside the head": b"HTTP/1.1 200 OK\r\nContent-",
        "200 with a bare list": http(200, b"[1]"),
        "200 with bytes that are not text": http(200, b"\xff\xfe{"),
        "200 cut inside the compressed body": http(200, PACKED[:-12], extra=GZIP),
    }.items()
] + [
    Recorded(
        "200 with an error inside", [error(200, "OrderException")], OutcomeUnknown, Unavailable, "OrderException", 200
    )
]

REFUSED = [
    Recorded(f"{status} {kind}", [error(status, kind)], Refused, Refused, kind, status)
    for status, kind in [
        (400, "InputException"),
        (400, "MarginException"),
        (400, "HoldingException"),
        (400, "OrderException"),
        (403, "UserException"),
        (403, "PermissionException"),
    ]
] + [
    Recorded("400 without type", [http(400, b'{"status":"error","message":"No."}')], Refused, Refused, status=400),
    Recorded("403 page", [_page(403)], Refused, Refused, status=403),
]

EXPIRED = [
    Recorded("403 token", [error(403, "TokenException")], SessionExpired, SessionExpired, "TokenException", 403),
]

THROTTLED = [
    Recorded("429", [error(429, "NetworkException")], Throttled, Throttled, "NetworkException", 429),
    Recorded("429 page", [_page(429)], Throttled, Throttled, status=429),
    Recorded(
        "429 without type", [http(429, b'{"status":"error","message":"Slow."}')], Throttled, Throttled, status=429
    ),
    Recorded("429 without body", [http(429)], Throttled, Throttled, status=429),
]

# An answer that proves nothing about an order, though a read may know what to do.
DOUBTFUL = [
    Recorded(f"{status} {kind or 'page'}", [said], OutcomeUnknown, read, kind, status)
    for status, kind, said, read in [
        (201, "", http(201, ORDER), Unavailable),
        (204, "", http(204), Unavailable),
        (302, "", http(302, extra="Location: /elsewhere\r\n"), Unavailable),
        (307, "", http(307, extra="Location: http://127.0.0.1:9/\r\n"), Unavailable),
        (400, "", _page(400), Refused),
        (404, "", _page(404), Refused),
        (405, "GeneralException", error(405, "GeneralException"), Refused),
        (410, "GeneralException", error(410, "GeneralException"), Refused),
        (428, "HoldingException", error(428, "HoldingException"), Refused),
        (
            500,
            "OrderException",
            error(500, "OrderException", "The request timed out, check the order book."),
            Unavailable,
        ),
        (500, "InputException", error(500, "InputException"), Unavailable),
        (500, "GeneralException", error(500, "GeneralException"), Unavailable),
        (500, "", http(500, ORDER), Unavailable),
        (502, "", _page(502), Unavailable),
        (502, "DataException", error(502, "DataException"), Unavailable),
        (503, "NetworkException", error(503, "NetworkException"), Unavailable),
        (503, "", _page(503), Unavailable),
        (504, "", http(504), Unavailable),
        (520, "", _page(520), Unavailable),
    ]
]

# The request left and nothing that can be read came back.
_BREAKS: dict[str, Sequence[Step]] = {
    "reset before the answer": [Act.RESET],
    "reset inside the answer": [_lying(ORDER[:20], len(ORDER)), Act.RESET],
    "closed before the answer": [],
    "closed inside the first line": [b"HTTP/1.1 2"],
    "closed inside the body": [_lying(ORDER[:20], len(ORDER))],
    "closed inside a chunk": [_chunked(b"%x\r\n%b" % (len(ORDER), ORDER[:20]))],
    "noise": [b"\x00\x01\x02\x03 nothing of HTTP\r\n\r\n"],
    "compression that is none": [http(200, ORDER, extra=GZIP)],
    "silence": [Act.HANG],
    "silence inside the body": [_lying(ORDER[:20], len(ORDER)), Act.HANG],
    "a head that trickles": [Trickle(http(200, ORDER))],
    "a body that trickles": [http(200, ORDER)[: -len(ORDER)], Trickle(ORDER)],
}
BROKEN = [Recorded(name, steps, OutcomeUnknown, Unavailable) for name, steps in _BREAKS.items()]

ALL = [*ACKNOWLEDGED, *UNPROVED, *REFUSED, *EXPIRED, *THROTTLED, *DOUBTFUL, *BROKEN]
