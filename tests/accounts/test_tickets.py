"""One-time tickets: who may have one, and what it opens."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.test import Client
from redis import Redis

from accounts.authentication import issue_api_key, revoke_api_key
from accounts.errors import Forbidden, NotAuthenticated
from accounts.evidence import Evidence, EvidenceExpired, Memory, spoken, ticket_of
from accounts.models import ApiKey, User
from accounts.queries import Principal, principal_of
from accounts.tickets import LIFE, SOCKET_LIFE, Holder, TicketRefused, issue, redeem
from market_data.sockets import close_code
from tests.factories import UserFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def key_of(user: User, *scopes: str) -> str:
    now = datetime.now(UTC)
    return issue_api_key(
        user=user, name="program", scopes=scopes, accounts=None, expires_at=now + timedelta(days=1), now=now
    )[1]


def opened(ticket: str) -> Evidence:
    scope = {"headers": [], "subprotocols": ["ticker.v1.json", f"ticket.{ticket}"]}
    return Evidence(scope, memory=Memory())


def principal(evidence: Evidence, *, now: datetime = NOW) -> Principal:
    return async_to_sync(evidence.principal)(now=now)


def test_a_ticket_opens_as_the_person_who_asked() -> None:
    user = UserFactory(role=User.Role.TRADER, every_account=True)

    found = principal(opened(issue(principal=principal_of(user), now=NOW)))

    assert found == principal_of(user)


def test_a_ticket_serves_once() -> None:
    ticket = issue(principal=principal_of(UserFactory(administrator=True)), now=NOW)
    redeem(ticket)

    with pytest.raises(TicketRefused):
        redeem(ticket)


def test_a_ticket_is_kept_for_half_a_minute_and_never_as_it_is(clean_redis: Redis) -> None:
    ticket = issue(principal=principal_of(UserFactory(administrator=True)), now=NOW)

    (key,) = clean_redis.keys("ticket:*")

    kept: Any = clean_redis.get(key)
    assert 0 < clean_redis.ttl(key) <= LIFE.total_seconds()
    assert ticket not in f"{key!r}{kept!r}"


def test_a_made_up_ticket_is_refused() -> None:
    with pytest.raises(TicketRefused):
        principal(opened("made-up"))


def test_what_a_ticket_opened_is_asked_again_without_the_ticket() -> None:
    user = UserFactory(role=User.Role.TRADER)
    evidence = opened(issue(principal=principal_of(user), now=NOW))

    assert principal(evidence) == principal(evidence, now=NOW + timedelta(minutes=30))


def test_its_time_is_an_hour() -> None:
    evidence = opened(issue(principal=principal_of(UserFactory(administrator=True)), now=NOW))
    principal(evidence)

    assert evidence.seconds_left(now=NOW) == SOCKET_LIFE.total_seconds()
    with pytest.raises(EvidenceExpired):
        principal(evidence, now=NOW + SOCKET_LIFE)
    assert evidence.overdue_seconds(now=NOW + SOCKET_LIFE + timedelta(seconds=9)) == 9


@pytest.mark.parametrize(("overdue", "code"), [(-1, None), (24, None), (25, 3005)])
def test_who_was_told_of_the_end_has_25_seconds_for_a_fresh_ticket(overdue: int, code: int | None) -> None:
    evidence = opened(issue(principal=principal_of(UserFactory(administrator=True)), now=NOW))
    principal(evidence)

    now = NOW + SOCKET_LIFE + timedelta(seconds=overdue)

    assert async_to_sync(close_code)(evidence, lambda _: None, now=now) == code


def test_a_fresh_ticket_of_the_same_person_renews_it() -> None:
    user = principal_of(UserFactory(administrator=True))
    evidence = opened(issue(principal=user, now=NOW))
    principal(evidence)
    later = NOW + SOCKET_LIFE + timedelta(seconds=5)

    async_to_sync(evidence.refresh)(issue(principal=user, now=later), now=later)

    assert evidence.seconds_left(now=later) == SOCKET_LIFE.total_seconds()


def test_a_ticket_of_somebody_else_renews_nothing() -> None:
    evidence = opened(issue(principal=principal_of(UserFactory(administrator=True)), now=NOW))
    principal(evidence)
    other = issue(principal=principal_of(UserFactory(administrator=True)), now=NOW)

    with pytest.raises(Forbidden):
        async_to_sync(evidence.refresh)(other, now=NOW)


def test_a_demoted_person_keeps_only_what_is_left() -> None:
    user = UserFactory(administrator=True)
    evidence = opened(issue(principal=principal_of(user), now=NOW))
    User.objects.filter(pk=user.pk).update(role=User.Role.VIEWER, every_account=False)

    found = principal(evidence)

    assert not found.may("orders:write")
    assert found.account_ids == frozenset()


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "another"}])
def test_a_person_who_left_or_changed_the_password_may_not_go_on(change: dict[str, object]) -> None:
    user = UserFactory(administrator=True)
    evidence = opened(issue(principal=principal_of(user), now=NOW))
    User.objects.filter(pk=user.pk).update(**change)

    with pytest.raises(NotAuthenticated):
        principal(evidence)


def test_a_revoked_key_ends_what_its_ticket_opened(client: Client) -> None:
    key = key_of(UserFactory(administrator=True), "market:read")
    answer = client.post("/api/v1/socket-tickets", headers={"Authorization": f"Bearer {key}"})
    evidence = opened(answer.json()["ticket"])
    now = datetime.now(UTC)
    assert principal(evidence, now=now).scopes == {"market:read"}

    revoke_api_key(prefix=ApiKey.objects.get().prefix, actor="test", reason="lost", now=now)

    with pytest.raises(NotAuthenticated):
        principal(evidence, now=now)


def test_the_api_gives_a_ticket_that_no_cache_keeps(client: Client) -> None:
    key = key_of(UserFactory(administrator=True), "market:read")

    answer = client.post("/api/v1/socket-tickets", headers={"Authorization": f"Bearer {key}"})

    body = answer.json()
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    assert (body["expires_in"], body["socket_seconds"]) == (30, 3600)
    assert ticket_of(["ticker.v1.json", body["subprotocol"]]) == body["ticket"]


def test_nobody_gets_no_ticket(client: Client) -> None:
    assert client.post("/api/v1/socket-tickets").status_code == 401


def test_a_ticket_is_not_answered_as_a_subprotocol() -> None:
    assert spoken(["ticket.abc", "ticker.v1.bin"]) == ["ticker.v1.bin"]


def test_a_holder_survives_its_bytes() -> None:
    who = Principal(user_id=1, label="a", key_id=None, scopes=frozenset({"x"}), account_ids=frozenset({uuid4()}))
    holder = Holder(principal=who, password="p", until=NOW)

    assert Holder.unpack(holder.pack()) == holder


async def test_many_sockets_of_one_key_ask_once_a_second() -> None:
    now = [0.0]
    memory = Memory(clock=lambda: now[0])
    text = await sync_to_async(lambda: key_of(UserFactory(administrator=True), "market:read"))()
    scope = {"headers": [(b"authorization", f"Bearer {text}".encode())]}

    first, second = await memory.principal(scope), await memory.principal(scope)
    now[0] = 1.0
    third = await memory.principal(scope)

    assert second is first
    assert third is not first
