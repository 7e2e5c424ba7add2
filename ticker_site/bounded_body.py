"""Request bodies end at a limit before anything reads them."""

import json
from typing import Any, Final

LIMIT: Final = 256 * 1024
PROBLEM: Final = json.dumps(
    {
        "type": "urn:ticker:problem:body_too_large",
        "code": "body_too_large",
        "status": 413,
        "detail": f"the body was larger than {LIMIT} bytes",
        "retryable": False,
    }
).encode()


class BodyTooLarge(Exception):
    """More came than a request may bring."""


class BoundedBody:
    """An ASGI application whose requests bring at most 256 KiB; larger ones are answered 413."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        declared = dict(scope.get("headers", ())).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > LIMIT:
            await _refuse(send)
            return
        seen = 0
        started = False

        async def bounded() -> Any:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > LIMIT:
                raise BodyTooLarge
            return message

        async def noted(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._application(scope, bounded, noted)
        except BodyTooLarge:
            if not started:
                await _refuse(send)


async def _refuse(send: Any) -> None:
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(PROBLEM)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": PROBLEM})
