"""Who is asking: API keys, session cookies, sockets."""

import statistics
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.test import Client
from rest_framework.permissions import BasePermission
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from accounts.authentication import (
    KEY,
    ApiKeyAuthentication,
    authenticate_socket,
    issue_api_key,
    revoke_api_key,
)
from accounts.errors import Forbidden, NotAuthenticated
from accounts.models import ApiKey, AuditEntry, BrokerAccount, User
from accounts.permissions import HasScope
from accounts.queries import EVERY_SCOPE, ROLE_SCOPES, Principal, principal_of
from tests.factories import BrokerAccountFactory, UserFactory, principal
from tests.panel_client import PanelClient

pytestmark = pytest.mark.django_db

ME = "/api/v1/me"


@pytest.fixture
def issue(now: datetime) -> Callable[..., str]:
    """Return a maker of API keys."""

    def make(
        user: User | None = None,
        scopes: Iterable[str] = ("accounts:read",),
        accounts: Iterable[BrokerAccount] | None = None,
        issued: datetime = now,
    ) -> str:
        _, text = issue_api_key(
            user=user or UserFactory(administrator=True),
            name="desk robot",
            scopes=scopes,
            accounts=accounts,
            expires_at=issued + timedelta(days=30),
            now=issued,
        )
        return text

    return make


def ask(client: Client, key: str) -> Any:
    return client.get(ME, headers={"authorization": f"Bearer {key}"})


def test_a_key_names_its_owner_its_scopes_and_its_accounts(client: Client, issue: Callable[..., str]) -> None:
    account = BrokerAccountFactory(label="asha")
    owner = UserFactory(username="asha", administrator=True)

    answer = ask(client, issue(owner, ["orders:read", "accounts:read"], [account])).json()

    assert answer["label"] == "asha/desk robot"
    assert answer["scopes"] == ["accounts:read", "orders:read"]
    assert answer["accounts"] == ["asha"]
    assert answer["key_id"] == ApiKey.objects.get().pk


def test_a_key_for_every_account_says_so(client: Client, issue: Callable[..., str]) -> None:
    assert ask(client, issue()).json()["accounts"] is None


def test_only_a_keyed_digest_of_a_key_is_stored(issue: Callable[..., str]) -> None:
    text = issue()

    key = ApiKey.objects.get()
    assert KEY.fullmatch(text)
    assert text[18:] not in str(ApiKey.objects.values())
    assert (len(key.digest), text.split("_")[2]) == (32, key.prefix)


def test_issuing_a_key_is_on_record_without_the_key(issue: Callable[..., str]) -> None:
    text = issue()

    entry = AuditEntry.objects.get()
    assert entry.action == "accounts.api_key.issued"
    assert text.split("_", 3)[3] not in f"{entry.subject}{entry.detail}"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer x",
        "Basic dXNlcjpwYXNz",
        "Bearer tkr_live_short_key",
        f"Bearer tkr_live_{'A' * 8}_{'a' * 43}",
        f"Bearer tkr_live_{'A' * 8}_{'a' * 44}",
        f"Bearer tkr_live_{'A' * 8}_{'ä' * 43}",
    ],
)
def test_what_is_no_known_key_is_refused_with_the_scheme_named(client: Client, header: str) -> None:
    answer = client.get(ME, headers={"authorization": header})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["code"] == "not_authenticated"


def test_nobody_is_refused(client: Client) -> None:
    assert client.get(ME).status_code == 401


def test_one_wrong_character_refuses_a_key(client: Client, issue: Callable[..., str]) -> None:
    key = issue()

    assert ask(client, key[:-1] + ("A" if key[-1] != "A" else "B")).status_code == 401


def test_an_expired_key_is_refused(client: Client, issue: Callable[..., str], now: datetime) -> None:
    key = issue()
    ApiKey.objects.update(created_at=now - timedelta(days=2), expires_at=now - timedelta(seconds=1))

    answer = ask(client, key)

    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


def test_a_revoked_key_is_refused_at_once_and_it_is_on_record(
    client: Client, issue: Callable[..., str], now: datetime
) -> None:
    key = issue()
    assert ask(client, key).status_code == 200

    revoke_api_key(prefix=key.split("_")[2], actor="asha", reason="leaked", now=now)

    assert ask(client, key).status_code == 401
    assert AuditEntry.objects.filter(action="accounts.api_key.revoked", reason="leaked").count() == 1


def test_a_key_of_an_inactive_person_is_refused(client: Client, issue: Callable[..., str]) -> None:
    key = issue()
    User.objects.update(is_active=False)

    assert ask(client, key).status_code == 401


def test_a_key_does_no_more_than_its_owner_may_today(client: Client, issue: Callable[..., str]) -> None:
    mine, others = BrokerAccountFactory(label="mine"), BrokerAccountFactory(label="others")
    key = issue(scopes=["accounts:read", "orders:write"], accounts=[mine, others])
    owner = User.objects.get()
    owner.role, owner.every_account = User.Role.VIEWER, False
    owner.save()
    owner.accounts.set([mine])

    answer = ask(client, key).json()

    assert (answer["scopes"], answer["accounts"]) == (["accounts:read"], ["mine"])


@pytest.mark.parametrize("scopes", [["orders:write"], ["made:up"]])
def test_nobody_issues_a_scope_they_do_not_hold(issue: Callable[..., str], scopes: list[str]) -> None:
    viewer = UserFactory(role=User.Role.VIEWER, every_account=True)

    with pytest.raises(Forbidden):
        issue(viewer, scopes)

    assert not ApiKey.objects.exists()


def test_nobody_issues_a_key_for_accounts_they_do_not_see(issue: Callable[..., str]) -> None:
    viewer = UserFactory(role=User.Role.VIEWER)

    with pytest.raises(Forbidden):
        issue(viewer, accounts=[BrokerAccountFactory()])
    with pytest.raises(Forbidden):
        issue(viewer, accounts=None)


@pytest.mark.parametrize("life", [timedelta(0), timedelta(days=-1), timedelta(days=91)])
def test_a_key_lives_at_most_ninety_days(life: timedelta, now: datetime) -> None:
    with pytest.raises(Forbidden, match="90 days"):
        issue_api_key(
            user=UserFactory(administrator=True),
            name="for ever",
            scopes=["accounts:read"],
            accounts=None,
            expires_at=now + life,
            now=now,
        )


def test_the_last_use_is_noted_once_a_minute(client: Client, issue: Callable[..., str]) -> None:
    key = issue()
    ask(client, key)
    first = ApiKey.objects.get().last_used_at

    ask(client, key)

    assert first is not None
    assert ApiKey.objects.get().last_used_at == first


def test_a_key_costs_one_query(
    client: Client, issue: Callable[..., str], django_assert_num_queries: Callable[[int], Any]
) -> None:
    key = issue()
    ask(client, key)

    with django_assert_num_queries(1):
        ask(client, key)


@pytest.mark.long
def test_a_wrong_first_and_a_wrong_last_character_take_the_same_time(issue: Callable[..., str]) -> None:
    key = issue()
    wrong = {"first": f"{key[:18]}{'A' if key[18] != 'A' else 'B'}{key[19:]}", "last": f"{key[:-1]}A"}
    factory, authentication = APIRequestFactory(), ApiKeyAuthentication()
    spent: dict[str, list[float]] = {"first": [], "last": []}

    for _ in range(5000):
        for name, text in wrong.items():
            request = APIView().initialize_request(factory.get(ME, headers={"authorization": f"Bearer {text}"}))
            started = time.perf_counter()
            with pytest.raises(Exception, match="not known"):
                authentication.authenticate(request)
            spent[name].append(time.perf_counter() - started)

    trimmed = {name: sorted(times)[250:4750] for name, times in spent.items()}
    error = sum(statistics.variance(times) / len(times) for times in trimmed.values()) ** 0.5
    assert abs(statistics.mean(trimmed["first"]) - statistics.mean(trimmed["last"])) < 4 * error + 1e-6


def test_a_session_has_the_scopes_of_the_role(client: Client) -> None:
    client.force_login(UserFactory(role=User.Role.TRADER))

    answer = client.get(ME).json()

    assert set(answer["scopes"]) == ROLE_SCOPES[User.Role.TRADER]
    assert answer["accounts"] == []


def test_a_superuser_has_every_scope_and_every_account() -> None:
    found = principal_of(UserFactory(superuser=True))

    assert (found.scopes, found.account_ids) == (EVERY_SCOPE, None)


def test_a_write_by_session_needs_the_csrf_token() -> None:
    client = PanelClient(enforce_csrf_checks=True)
    client.force_login(UserFactory(administrator=True))
    BrokerAccountFactory(label="asha")

    answer = client.post("/api/v1/accounts/asha/credentials", {}, content_type="application/json")

    assert answer.status_code == 403
    assert "CSRF" in answer.json()["detail"]


def test_a_missing_scope_is_named(client: Client) -> None:
    client.force_login(UserFactory(role=User.Role.VIEWER, every_account=True))
    BrokerAccountFactory(label="asha")

    answer = client.post("/api/v1/accounts/asha/credentials", {}, content_type="application/json")

    assert answer.status_code == 403
    assert answer.json()["code"] == "scope_missing"
    assert "accounts:write" in answer.json()["detail"]


class Undeclared(APIView):
    """A view whose author forgot to say who may use it."""

    def get(self, request: Any) -> None:
        raise AssertionError("reached")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_a_view_that_declares_no_scope_is_closed(method: str) -> None:
    request = APIView().initialize_request(APIRequestFactory().generic(method, "/"))
    request.auth = principal()

    permission: BasePermission = HasScope()

    assert not permission.has_permission(request, Undeclared())


# Sockets


def scope_of(headers: dict[str, str]) -> dict[str, Any]:
    return {"type": "websocket", "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}


def signed_in(user: User) -> str:
    client = PanelClient()
    client.force_login(user)
    return f"other=1; sessionid={client.cookies['sessionid'].value}"


@pytest.mark.django_db(transaction=True)
async def test_a_program_opens_a_socket_with_its_key(issue: Callable[..., str]) -> None:
    key = await database_sync_to_async(issue)()

    found = await authenticate_socket(scope_of({"authorization": f"Bearer {key}"}))

    assert isinstance(found, Principal)
    assert found.scopes == {"accounts:read"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer nonsense"}, {"origin": "http://testserver"}, {"cookie": "sessionid=unknown"}],
)
async def test_a_socket_without_a_known_caller_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(NotAuthenticated):
        await authenticate_socket(scope_of(headers))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("origin", ["http://testserver", "http://localhost:9000"])
async def test_a_browser_opens_a_socket_with_its_session_from_our_origin(origin: str) -> None:
    user = await database_sync_to_async(UserFactory)(role=User.Role.VIEWER)
    cookie = await database_sync_to_async(signed_in)(user)
    host = origin.removeprefix("http://")

    found = await authenticate_socket(scope_of({"cookie": cookie, "origin": origin, "host": host}))

    assert found.user_id == user.pk


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "testserver"),
        ("https://evil.example", "evil.example"),
        ("null", "testserver"),
        ("http://testserver.evil.example", "testserver"),
        ("https://evil.example/http://testserver", "testserver"),
    ],
)
async def test_a_page_of_another_origin_cannot_use_a_session(origin: str, host: str) -> None:
    cookie = await database_sync_to_async(signed_in)(await database_sync_to_async(UserFactory)())

    with pytest.raises(Forbidden):
        await authenticate_socket(scope_of({"cookie": cookie, "origin": origin, "host": host}))


@pytest.mark.django_db(transaction=True)
async def test_a_session_of_an_inactive_person_opens_no_socket() -> None:
    user = await database_sync_to_async(UserFactory)()
    cookie = await database_sync_to_async(signed_in)(user)
    await User.objects.aupdate(is_active=False)

    with pytest.raises(NotAuthenticated):
        await authenticate_socket(scope_of({"cookie": cookie, "origin": "http://testserver", "host": "testserver"}))
