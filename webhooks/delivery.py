"""Carries a message to an endpoint: claim, send once, write down what came back, and when to try again."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from webhooks import signing
from webhooks.addresses import networks, resolve
from webhooks.errors import AddressRefused, NotReplayable
from webhooks.models import Attempt, Delivery, Endpoint
from webhooks.sending import Answer, post

log = structlog.get_logger(__name__)

State = Delivery.State
LEASE: Final = timedelta(seconds=30)
# The schedule that the scheme recommends; its sum is some three days.
PAUSES: Final[Sequence[timedelta]] = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
SPREAD: Final = 0.2
# A receiver that fails is left alone for a while by every message, not by the failing one alone.
REST: Final = timedelta(seconds=5)
LONGEST_REST: Final = timedelta(minutes=5)


def deliver(*, delivery_id: UUID, now: datetime) -> Delivery | None:
    """Send the delivery if it is due and return it; None where it is not, or somebody else is at it."""
    delivery = _claim(delivery_id, now=now)
    if delivery is None:
        return None
    endpoint, message = delivery.endpoint, delivery.message
    body = message.body.encode()
    try:
        target = resolve(url=endpoint.url, allowed=networks(settings.WEBHOOK_ALLOWED_NETWORKS))
    except AddressRefused as error:
        _write_down(delivery, Answer(None, "", str(error), None, 0), address="", now=now)
        return delivery
    headers = signing.headers(
        secrets_in_force=secrets_in_force(endpoint, now=now),
        message_id=message.wire_id,
        timestamp=int(now.timestamp()),
        body=body,
    )
    answer = post(target=target, body=body, headers=headers, ca_file=settings.WEBHOOK_CA_FILE)
    _write_down(delivery, answer, address=target.address, now=now)
    return delivery


def secrets_in_force(endpoint: Endpoint, *, now: datetime) -> list[str]:
    """Return the secrets that sign now: the present one first, and the former one until its end."""
    found = [endpoint.secret.reveal()]
    if endpoint.former_until is not None and endpoint.former_until > now:
        found.append(endpoint.former_secret.reveal())
    return found


def recover(*, now: datetime) -> int:
    """Give back what a worker died over, and return how many; receivers drop what they had by its id."""
    stuck = Delivery.objects.filter(state=State.SENDING, lease_until__lt=now)
    return stuck.update(state=State.WAITING, lease_until=None, next_at=now)


def replay(*, delivery: Delivery, now: datetime) -> Delivery:
    """Send a message again under the same id, with a fresh series of attempts; raises NotReplayable."""
    with transaction.atomic():
        held = Delivery.objects.select_for_update(of=("self",)).select_related("endpoint").get(pk=delivery.pk)
        if held.endpoint.state != Endpoint.State.ENABLED:
            raise NotReplayable(f"the webhook is {held.endpoint.state}")
        if held.state not in {State.DELIVERED, State.DEAD}:
            raise NotReplayable(f"the delivery is {held.state}")
        held.state, held.attempts, held.next_at = State.WAITING, 0, now
        held.finished_at, held.reason = None, ""
        held.save(update_fields=["state", "attempts", "next_at", "finished_at", "reason"])
    return held


def pause_after(*, delivery_id: UUID, attempts: int, retry_after: float | None) -> timedelta | None:
    """Return how long to wait after so many attempts, spread so that deliveries part; None when all are spent."""
    if attempts > len(PAUSES):
        return None
    digest = hashlib.sha256(f"{delivery_id}:{attempts}".encode()).digest()
    share = int.from_bytes(digest[:4]) / 0xFFFFFFFF
    pause = PAUSES[attempts - 1] * (1 + SPREAD * (2 * share - 1))
    asked = timedelta(seconds=min(retry_after or 0.0, PAUSES[-1].total_seconds()))
    return max(pause, asked)


def _claim(delivery_id: UUID, *, now: datetime) -> Delivery | None:
    with transaction.atomic():
        rows = Delivery.objects.select_for_update(of=("self",), skip_locked=True)
        delivery = (
            rows.select_related("endpoint", "message")
            .filter(pk=delivery_id, state=State.WAITING, next_at__lte=now, endpoint__state=Endpoint.State.ENABLED)
            .first()
        )
        if delivery is None:
            return None
        rests_until = delivery.endpoint.rests_until
        if rests_until is not None and rests_until > now:
            return None
        delivery.state, delivery.lease_until = State.SENDING, now + LEASE
        delivery.attempts += 1
        delivery.save(update_fields=["state", "lease_until", "attempts"])
        return delivery


def _write_down(delivery: Delivery, answer: Answer, *, address: str, now: datetime) -> None:
    with transaction.atomic():
        held = Delivery.objects.select_for_update().get(pk=delivery.pk)
        Attempt.objects.create(
            delivery=held,
            number=delivery.attempts,
            at=now,
            address=address,
            status=answer.status,
            milliseconds=answer.milliseconds,
            answer=answer.text,
            error=answer.error,
        )
        if held.state != State.SENDING or held.attempts != delivery.attempts:
            return
        _settle(held, answer, now=now)
    for name in ("state", "next_at", "lease_until", "finished_at", "reason"):
        setattr(delivery, name, getattr(held, name))
    log.info("webhooks.delivery.tried", delivery=str(delivery.pk), state=held.state, status=answer.status)


def _settle(held: Delivery, answer: Answer, *, now: datetime) -> None:
    held.lease_until = None
    good = answer.status is not None and HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
    held.reason = "" if good else (answer.error or f"the receiver answered {answer.status}")[:300]
    pause = pause_after(delivery_id=held.pk, attempts=held.attempts, retry_after=answer.retry_after)
    if good:
        held.state, held.finished_at, held.next_at = State.DELIVERED, now, None
    elif pause is None or answer.status == HTTPStatus.GONE:
        held.state, held.finished_at, held.next_at = State.DEAD, now, None
        log.error("webhooks.delivery.dead", delivery=str(held.pk), endpoint=str(held.endpoint_id), reason=held.reason)
    else:
        held.state, held.next_at = State.WAITING, now + pause
    held.save(update_fields=["state", "next_at", "lease_until", "finished_at", "reason"])
    _judge_endpoint(held.endpoint_id, answer, good=good, now=now)


def _judge_endpoint(endpoint_id: UUID, answer: Answer, *, good: bool, now: datetime) -> None:
    endpoint = Endpoint.objects.select_for_update().get(pk=endpoint_id)
    if answer.status == HTTPStatus.GONE and endpoint.state == Endpoint.State.ENABLED:
        # The receiver's way to say that it wants no more.
        endpoint.state, endpoint.state_reason = Endpoint.State.DISABLED, "the receiver answered 410 Gone"
    if good and not endpoint.failures:
        return
    endpoint.failures = 0 if good else min(endpoint.failures + 1, 10_000)
    rest = min(REST * 2 ** min(endpoint.failures - 1, 10), LONGEST_REST) if endpoint.failures > 1 else None
    endpoint.rests_until = now + rest if rest is not None else None
    endpoint.save(update_fields=["state", "state_reason", "failures", "rests_until"])
