"""What the portfolio does by the clock."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from portfolio.settling import settle_all


@shared_task(bind=True, name="portfolio.tasks.settle_instructions")
def settle_instructions(self: Any, /, **_: object) -> None:
    """Learn what became of instructions in doubt."""
    settle_all(sessions=self.app.sessions, now=timezone.now())
