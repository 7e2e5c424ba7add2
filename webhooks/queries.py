"""What the webhooks read of their own rows."""

from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.queries import Principal
from accounts.statements import prepared
from webhooks.errors import EndpointUnknown
from webhooks.models import Delivery, Endpoint

# Asked for every event, so it is written out.
LISTENERS = """
    SELECT endpoint.id FROM webhooks_endpoint endpoint
    WHERE endpoint.state = 'enabled'
      AND (endpoint.kinds && %s::varchar[])
      AND (endpoint.every_account OR %s::uuid IS NULL OR EXISTS (
        SELECT FROM webhooks_endpoint_accounts held
        WHERE held.endpoint_id = endpoint.id AND held.brokeraccount_id = %s))
"""


def patterns_of(kind: str) -> list[str]:
    """Return what an endpoint may have asked for to be told of this kind: it, its families, everything."""
    words = kind.split(".")
    return [kind, *(".".join(words[:count]) + ".*" for count in range(1, len(words))), "*"]


def listeners(*, account_id: UUID | None, kind: str) -> list[UUID]:
    """Return the endpoints that asked for the kind and may hear of the account."""
    with prepared() as cursor:
        cursor.execute(LISTENERS, [patterns_of(kind), account_id, account_id])
        return [row[0] for row in cursor.fetchall()]


def visible_endpoints(principal: Principal) -> QuerySet[Endpoint]:
    """Return the endpoints a caller may see: their own, and everybody's where they see every account."""
    rows = Endpoint.objects.exclude(state=Endpoint.State.REMOVED).select_related("owner").prefetch_related("accounts")
    return rows if principal.account_ids is None else rows.filter(owner_id=principal.user_id)


def visible_endpoint(*, principal: Principal, endpoint_id: UUID) -> Endpoint:
    """Return the endpoint; raises EndpointUnknown."""
    found = visible_endpoints(principal).filter(pk=endpoint_id).first()
    if found is None:
        raise EndpointUnknown(f"no webhook {endpoint_id}")
    return found


def visible_deliveries(principal: Principal) -> QuerySet[Delivery]:
    """Return the deliveries to the endpoints a caller may see, newest first."""
    rows = Delivery.objects.select_related("message", "endpoint", "message__account").order_by("-created_at", "-id")
    return rows.filter(endpoint__in=visible_endpoints(principal))


def due(*, now: datetime) -> list[UUID]:
    """Return deliveries that should be on their way, the longest overdue first."""
    waiting = Q(state=Delivery.State.WAITING, next_at__lte=now, endpoint__state=Endpoint.State.ENABLED)
    resting = Q(endpoint__rests_until__gt=now)
    rows = Delivery.objects.filter(waiting).exclude(resting).order_by("next_at")
    return list(rows.values_list("pk", flat=True)[:200])
