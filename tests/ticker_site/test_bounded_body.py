"""Bodies beyond the limit never reach the application."""

from typing import Any

import pytest

from ticker_site.bounded_body import LIMIT, BoundedBody

Message = dict[str, Any]


async def application(scope: Message, receive: Any, send: Any) -> None:
    size = 0
    more = True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


async def ask(parts: list[bytes], *, declared: bytes | None = None) -> list[Message]:
    queue = [
        {"type": "http.request", "body": part, "more_body": number + 1 < len(parts)}
        for number, part in enumerate(parts)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return queue.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [] if declared is None else [(b"content-length", declared)]
    await BoundedBody(application)({"type": "http", "headers": headers}, receive, send)
    return sent


@pytest.mark.asyncio
async def test_a_body_of_the_limit_passes() -> None:
    sent = await ask([b"x" * LIMIT], declared=str(LIMIT).encode())

    assert sent[0]["status"] == 200
    assert sent[1]["body"] == str(LIMIT).encode()


@pytest.mark.asyncio
@pytest.mark.parametrize("declared", [str(LIMIT + 1).encode(), b"-1", b"many"])
async def test_a_declared_length_is_refused_unread(declared: bytes) -> None:
    sent = await ask([b""], declared=declared)

    assert sent[0]["status"] == 413
    assert b"body_too_large" in sent[1]["body"]


@pytest.mark.asyncio
async def test_an_undeclared_body_is_cut_at_the_limit() -> None:
    sent = await ask([b"x" * LIMIT, b"x"])

    assert sent[0]["status"] == 413
