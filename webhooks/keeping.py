"""Adds, changes and removes endpoints, each deed with its audit entry."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from accounts.audit import record
from accounts.errors import Forbidden
from accounts.queries import Principal, account_by_label
from webhooks.addresses import networks, resolve
from webhooks.errors import TooManyEndpoints
from webhooks.models import Endpoint

MOST_ENDPOINTS: Final = 20
# Both secrets sign for a day, so that a receiver can be moved over without losing a message.
OVERLAP: Final = timedelta(days=1)


def add(*, principal: Principal, wanted: Mapping[str, Any], now: datetime) -> Endpoint:
    """Return a new endpoint; raises AddressRefused, TooManyEndpoints and Forbidden."""
    _check_url(wanted["url"])
    living = Endpoint.objects.exclude(state=Endpoint.State.REMOVED).filter(owner_id=principal.user_id)
    if living.count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints(f"a person may have {MOST_ENDPOINTS} webhooks")
    with transaction.atomic():
        endpoint = Endpoint(
            owner_id=principal.user_id,
            url=wanted["url"],
            description=wanted.get("description", ""),
            kinds=wanted["kinds"],
            secret=wanted["secret"],
            created_at=now,
        )
        endpoint.save(force_insert=True)
        _hear_of(endpoint, wanted.get("accounts"), principal=principal)
        _record("added", endpoint, principal=principal, now=now)
    return endpoint


def change(*, principal: Principal, endpoint: Endpoint, wanted: Mapping[str, Any], now: datetime) -> Endpoint:
    """Return the endpoint with new values; enabling it lets it start afresh."""
    if "url" in wanted:
        _check_url(wanted["url"])
    with transaction.atomic():
        held = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        for name in ("url", "description", "kinds"):
            if name in wanted:
                setattr(held, name, wanted[name])
        if "enabled" in wanted:
            held.state = Endpoint.State.ENABLED if wanted["enabled"] else Endpoint.State.DISABLED
            held.state_reason, held.failures, held.rests_until = "", 0, None
        held.save()
        if "accounts" in wanted:
            _hear_of(held, wanted["accounts"], principal=principal)
        _record("changed", held, principal=principal, now=now, changed=sorted(wanted))
    return held


def rotate_secret(*, principal: Principal, endpoint: Endpoint, secret: str, now: datetime) -> Endpoint:
    """Return the endpoint with a new secret; the former one signs beside it for a day."""
    with transaction.atomic():
        held = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        held.former_secret, held.former_until = held.secret.reveal(), now + OVERLAP
        held.secret = secret
        held.save(update_fields=["secret", "former_secret", "former_until"])
        _record("secret_rotated", held, principal=principal, now=now)
    return held


def remove(*, principal: Principal, endpoint: Endpoint, now: datetime) -> None:
    """End the endpoint and forget its secrets; what it was told stays in the log."""
    with transaction.atomic():
        held = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        held.state, held.secret, held.former_secret, held.former_until = Endpoint.State.REMOVED, None, None, None
        held.save(update_fields=["state", "secret", "former_secret", "former_until"])
        _record("removed", held, principal=principal, now=now)


def _check_url(url: str) -> None:
    resolve(url=url, allowed=networks(settings.WEBHOOK_ALLOWED_NETWORKS))


def _hear_of(endpoint: Endpoint, labels: Sequence[str] | None, *, principal: Principal) -> None:
    if labels is None:
        if principal.account_ids is not None:
            raise Forbidden("name the accounts: you do not see every account", field="accounts")
        endpoint.every_account = True
        endpoint.accounts.clear()
    else:
        endpoint.every_account = False
        endpoint.accounts.set([account_by_label(label=label, principal=principal) for label in labels])
    endpoint.save(update_fields=["every_account"])


def _record(verb: str, endpoint: Endpoint, *, principal: Principal, now: datetime, changed: Sequence[str] = ()) -> None:
    record(
        actor=principal.label,
        action=f"webhooks.endpoint.{verb}",
        subject=f"webhook:{endpoint.pk}",
        detail={"url": endpoint.url, "changed": list(changed)},
        now=now,
    )
