"""Tasks that live and end together. Pure asyncio."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Final

AGAIN_SECONDS: Final = 0.2


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Run until one fails or the caller is cancelled; then end the others. Raises an ExceptionGroup of what failed."""
    tasks = [asyncio.create_task(part) for part in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end(tasks)
    failures = [error for task in tasks if not task.cancelled() and isinstance(error := task.exception(), Exception)]
    if failures:
        raise ExceptionGroup("a task failed", failures)


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel until it is heard: a cancellation that meets the Redis client while it connects can get lost."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN_SECONDS)
