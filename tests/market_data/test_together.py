"""Tasks that live and end together."""

import asyncio

import pytest

from market_data.together import end, together


class Deaf:
    """Works on until it was told to end for the third time, as a client that swallows a cancellation does."""

    def __init__(self) -> None:
        self.told = 0
        self.began = asyncio.Event()

    async def work(self) -> None:
        while self.told < 3:
            try:
                self.began.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.told += 1


async def fail() -> None:
    raise ValueError("broken")


async def test_a_cancellation_is_repeated_until_it_is_heard() -> None:
    deaf = Deaf()
    running = asyncio.create_task(together(deaf.work()))
    await deaf.began.wait()

    running.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([running])

    assert running.cancelled()
    assert deaf.told == 3


async def test_a_failure_ends_the_others_and_is_raised() -> None:
    deaf = Deaf()

    with pytest.raises(ExceptionGroup) as failed:
        async with asyncio.timeout(10):
            await together(deaf.work(), fail())

    assert failed.group_contains(ValueError, match="broken")
    assert deaf.told == 3


async def test_nothing_to_end_ends_at_once() -> None:
    await end([])
