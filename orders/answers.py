"""How the API answers with a group of orders, and how its lists lead on."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.urls import reverse
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import caller_of
from orders import baskets, groups
from orders.errors import BasketDenied
from orders.parent_tasks import advance_group
from orders.parents import OrderGroup
from orders.requests import idempotency_key, preferred_wait, sessions_of, wait_until
from orders.tasks import knock

PROBLEM = "application/problem+json"


def group_response(request: Request, wanted: baskets.WantedBasket, *, now: datetime) -> Response:
    """Take the group in and answer with it; every leg's objection where one would be denied."""
    try:
        grouped = baskets.place(
            principal=caller_of(request),
            wanted=wanted,
            idempotency_key=idempotency_key(request),
            sessions=sessions_of(request),
            now=now,
        )
    except BasketDenied as error:
        return _denied(error)
    group = grouped.group
    if not grouped.replayed:
        knock(advance_group, group.pk)
        wait_for(group, seconds=preferred_wait(request))
    headers = {
        "Location": reverse("basket", args=[group.pk]),
        "Idempotent-Replayed": str(grouped.replayed).lower(),
    }
    code = status.HTTP_200_OK if grouped.replayed else status.HTTP_202_ACCEPTED
    return Response(document_of(group), status=code, headers=headers)


def wait_for(group: OrderGroup, *, seconds: float) -> None:
    """Return when the group has come to its end, or the seconds are over."""

    def finished() -> bool:
        group.refresh_from_db(fields=["state", "finished_at", "skipped", "cancelled_at"])
        return group.finished_at is not None

    finished()
    wait_until(finished, seconds=seconds)


def document_of(group: OrderGroup) -> dict[str, Any]:
    """Return the group as clients see it."""
    return documents_of([group])[0]


def documents_of(some: Sequence[OrderGroup]) -> list[dict[str, Any]]:
    """Return the groups as clients see them."""
    return [groups.group_document(*pair) for pair in zip(some, groups.pictures_of(some), strict=True)]


def _denied(error: BasketDenied) -> Response:
    document = {
        "type": f"urn:ticker:problem:{error.code}",
        "code": error.code,
        "status": error.status,
        "detail": str(error),
        "outcome": error.outcome,
        "retryable": False,
        "field": error.field,
        "legs": [{**asdict(leg), "code": leg.code.lower()} for leg in error.legs],
    }
    return Response(document, status=error.status, content_type=PROBLEM)
