"""Request bodies end at a limit, and in time, before anything reads them."""

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final

LIMIT: Final = 256 * 1024
# 256 KiB in ten seconds is a slow telephone; whoever drips holds nothing longer than that.
BODY_SECONDS: Final = 10.0


class BodyRefused(Exception):
    """The body is not read further."""

    def __init__(self, status: HTTPStatus, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.problem = json.dumps(
            {
                "type": f"urn:ticker:problem:{code}",
                "code": code,
                "status": status.value,
                "detail": detail,
                "retryable": status == HTTPStatus.REQUEST_TIMEOUT,
                "outcome": "not_sent",
            }
        ).encode()


class BoundedBody:
    """An ASGI application whose requests bring at most 256 KiB within ten seconds; others are answered 413 and 408."""

    def __init__(self, application: Any, *, seconds: float = BODY_SECONDS) -> None:
        self._application = application
        self._seconds = seconds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        declared = dict(scope.get("headers", ())).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > LIMIT:
            await _refuse(send, _too_large())
            return
        started = False

        async def noted(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._application(scope, self._bounded(receive), noted)
        except BodyRefused as refusal:
            if not started:
                await _refuse(send, refusal)

    def _bounded(self, receive: Any) -> Any:
        seen, whole = 0, False
        ends_at = asyncio.get_running_loop().time() + self._seconds

        async def bounded() -> Any:
            nonlocal seen, whole
            message = await (receive() if whole else self._in_time(receive, ends_at))
            whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > LIMIT:
                raise _too_large()
            return message

        return bounded

    async def _in_time(self, receive: Any, ends_at: float) -> Any:
        try:
            async with asyncio.timeout_at(ends_at):
                return await receive()
        except TimeoutError as error:
            detail = f"the body was not there within {self._seconds:g} s"
            raise BodyRefused(HTTPStatus.REQUEST_TIMEOUT, "body_too_slow", detail) from error


def _too_large() -> BodyRefused:
    return BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", f"the body was larger than {LIMIT} bytes")


async def _refuse(send: Any, refusal: BodyRefused) -> None:
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(refusal.problem)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refusal.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.problem})
