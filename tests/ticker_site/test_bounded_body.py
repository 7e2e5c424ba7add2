"""Bodies beyond the limit, or too slow, never reach the application."""

import asyncio
import json
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


@pytest.mark.asyncio
async def test_a_body_that_drips_is_given_up() -> None:
    sent: list[Message] = []

    async def drip() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(30):
        await BoundedBody(application, seconds=0.1)({"type": "http", "headers": []}, drip, send)

    problem = json.loads(sent[1]["body"])
    assert (sent[0]["status"], problem["code"], problem["outcome"]) == (408, "body_too_slow", "not_sent")
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.asyncio
async def test_a_client_whose_body_is_whole_may_wait_for_its_answer() -> None:
    parts: list[Message] = [
        {"type": "http.request", "body": b"x", "more_body": False},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        if len(parts) == 1:
            await asyncio.sleep(0.2)
        return parts.pop(0)

    async def patient(scope: Message, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"x"
        assert (await receive())["type"] == "http.disconnect"
        await send("gone")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await BoundedBody(patient, seconds=0.1)({"type": "http", "headers": []}, receive, send)

    assert sent == ["gone"]
