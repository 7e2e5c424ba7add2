"""Periodic work of beat: accounts come back, tokens die at six."""

from celery import shared_task
from django.utils import timezone

from accounts import credentials, health


@shared_task
def restore_recovered(**_: object) -> None:
    """Bring back degraded accounts whose time has come."""
    health.restore_recovered(now=timezone.now())


@shared_task
def expire_tokens(**_: object) -> None:
    """Forget tokens past their time."""
    credentials.expire_tokens(now=timezone.now())
