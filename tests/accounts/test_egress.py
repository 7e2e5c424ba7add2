"""Orders leave from the addresses their owner registered, or not at all."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from accounts import egress, health, tasks
from accounts.addresses import EgressCheck, RegisteredAddress
from accounts.authentication import issue_api_key
from accounts.errors import AddressRefused, EgressUnseen, ReasonMissing
from accounts.models import AuditEntry, BrokerAccount
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.errors import KiteError, OutcomeUnknown, Refused, Unavailable
from kite.types import Exchange, Login, OrderRequest, OrderType, Product, TransactionType, Variety
from tests.accounts.echo_server import EchoServer, ProxyServer
from tests.factories import AccountGroupFactory, BrokerAccountFactory, CredentialFactory, UserFactory
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def echo(settings: Any) -> Iterator[EchoServer]:
    """Return the server that the settings ask from where orders leave."""
    server = EchoServer()
    settings.EGRESS_ECHO_URL = f"{server.url}/ip"
    yield server
    server.stop()


@pytest.fixture
def program() -> APIClient:
    """Return a program with an administrator's key for every account."""
    now = datetime.now(UTC)
    _, text = issue_api_key(
        user=UserFactory(administrator=True),
        name="test",
        scopes=["accounts:read", "accounts:write", "ops:write"],
        accounts=None,
        expires_at=now + timedelta(days=1),
        now=now,
    )
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


@pytest.fixture
def proxy() -> Iterator[ProxyServer]:
    """Return a proxy."""
    server = ProxyServer()
    yield server
    server.stop()


def account_with(*addresses: str, now: datetime, **columns: Any) -> BrokerAccount:
    """Return a logged-in account with these registered addresses."""
    account: BrokerAccount = CredentialFactory(account=BrokerAccountFactory(**columns), live=True).account
    if addresses:
        egress.register(account_id=account.pk, addresses=addresses, actor="asha", reason="static", now=now)
    return account


def look(account: BrokerAccount, now: datetime) -> BrokerAccount:
    """Look as the first order does and return the account as it is then."""
    egress.require_seen(login=login_for(account_id=account.pk, now=now), sessions=Sessions(), now=now)
    account.refresh_from_db()
    return account


def verdicts() -> list[str]:
    return list(EgressCheck.objects.order_by("id").values_list("verdict", flat=True))


def test_a_registered_address_lets_orders_leave(echo: EchoServer, now: datetime) -> None:
    account = look(account_with("127.0.0.1", now=now), now)

    assert account.egress_fault == ""
    assert verdicts() == ["registered"]


@pytest.mark.parametrize("as_json", [False, True])
def test_another_address_refuses_orders_and_is_told(echo: EchoServer, now: datetime, as_json: bool) -> None:
    echo.as_json = as_json

    account = look(account_with("203.0.113.7", "203.0.113.8", now=now), now)

    assert account.egress_fault == "orders leave from 127.0.0.1, registered is 203.0.113.7, 203.0.113.8"
    entry = AuditEntry.objects.get(action="accounts.egress.refused")
    assert (entry.subject, entry.reason) == (f"account:{account.label}", account.egress_fault)


def test_the_address_is_looked_at_once_a_day(echo: EchoServer, now: datetime) -> None:
    account = account_with("127.0.0.1", now=now)
    look(account, now)
    look(account, now + timedelta(minutes=1))
    assert echo.asked == 1

    egress.require_seen(
        login=login_for(account_id=account.pk, now=now), sessions=Sessions(), now=now + timedelta(days=1)
    )

    assert echo.asked == 2


def test_a_foreign_address_is_looked_at_again_after_a_minute(echo: EchoServer, now: datetime) -> None:
    echo.says = "198.51.100.1"
    account = account_with("127.0.0.1", now=now)
    look(account, now)
    look(account, now + timedelta(seconds=59))
    assert echo.asked == 1
    echo.says = None

    account = look(account, now + timedelta(seconds=60))

    assert account.egress_fault == ""
    assert AuditEntry.objects.filter(action="accounts.egress.allowed").count() == 1


def test_a_changed_route_is_looked_at_anew(echo: EchoServer, now: datetime) -> None:
    account = account_with("127.0.0.1", now=now)
    look(account, now)

    health.change(account_id=account.pk, changes={"source_address": "127.0.0.3"}, actor="asha", now=now)
    account = look(account, now)

    assert echo.asked == 2
    assert account.egress_fault.startswith("orders leave from 127.0.0.3")


def test_orders_leave_from_the_accounts_own_address(echo: EchoServer, now: datetime) -> None:
    account = look(account_with("127.0.0.5", now=now, source_address="127.0.0.5"), now)

    assert account.egress_fault == ""
    assert EgressCheck.objects.get().route == "127.0.0.5 direct"


def test_orders_leave_through_the_accounts_proxy(echo: EchoServer, proxy: ProxyServer, now: datetime) -> None:
    account = look(account_with(ProxyServer.ADDRESS, now=now, order_proxy=proxy.url), now)

    assert account.egress_fault == ""
    assert proxy.carried == [f"GET {echo.url}/ip"]


def test_the_echo_learns_nothing_of_the_login(echo: EchoServer, now: datetime) -> None:
    account = account_with("127.0.0.1", now=now)
    login = login_for(account_id=account.pk, now=now)

    look(account, now)

    assert login.access_token not in echo.seen[0]
    assert login.api_key not in echo.seen[0]
    assert "authorization" not in echo.seen[0].lower()


@pytest.mark.parametrize("trouble", ["status", "nonsense", "dead", "unset"])
def test_while_nobody_can_say_orders_wait(echo: EchoServer, now: datetime, settings: Any, trouble: str) -> None:
    account = account_with("127.0.0.1", now=now)
    match trouble:
        case "status":
            echo.status = 502
        case "nonsense":
            echo.says = "<html>"
        case "dead":
            settings.EGRESS_ECHO_URL = "http://127.0.0.1:1/"
        case "unset":
            settings.EGRESS_ECHO_URL = ""

    with pytest.raises(EgressUnseen):
        look(account, now)

    account.refresh_from_db()
    assert account.egress_fault == ""
    assert verdicts() == ["unseen"]


def test_what_nobody_saw_does_not_allow_what_was_refused(echo: EchoServer, now: datetime) -> None:
    echo.says = "198.51.100.1"
    account = look(account_with("127.0.0.1", now=now), now)
    echo.status = 500

    with pytest.raises(EgressUnseen):
        look(account, now + timedelta(minutes=2))

    account.refresh_from_db()
    assert account.egress_fault


def test_an_account_without_registered_addresses_is_not_looked_at(echo: EchoServer, now: datetime) -> None:
    look(account_with(now=now), now)

    assert echo.asked == 0
    assert egress.bound_accounts() == []


def test_registering_nothing_lifts_the_refusal(echo: EchoServer, now: datetime) -> None:
    account = look(account_with("203.0.113.7", now=now), now)

    egress.register(account_id=account.pk, addresses=[], actor="asha", reason="moved", now=now)

    account.refresh_from_db()
    assert account.egress_fault == ""
    assert egress.check(login=login_for(account_id=account.pk, now=now), sessions=Sessions(), now=now) is None


def test_registering_is_written_down_and_looked_at_anew(echo: EchoServer, now: datetime) -> None:
    account = look(account_with("203.0.113.7", now=now), now)

    egress.register(account_id=account.pk, addresses=["127.0.0.1"], actor="ravi", reason="new line", now=now)
    account = look(account, now)

    assert account.egress_fault == ""
    entry = AuditEntry.objects.filter(action="accounts.egress.registered").latest("id")
    assert (entry.actor, entry.detail) == ("ravi", {"before": ["203.0.113.7"], "after": ["127.0.0.1"]})


@pytest.mark.parametrize(
    ("addresses", "told"),
    [(["203.0.113.1", "203.0.113.2", "203.0.113.3"], "2 addresses at most"), (["localhost"], "no IP address")],
)
def test_what_the_broker_would_not_register_is_refused(now: datetime, addresses: list[str], told: str) -> None:
    with pytest.raises(AddressRefused, match=told):
        account_with(*addresses, now=now)

    assert not RegisteredAddress.objects.exists()


def test_registering_needs_a_reason(now: datetime) -> None:
    account = account_with(now=now)

    with pytest.raises(ReasonMissing):
        egress.register(account_id=account.pk, addresses=["203.0.113.1"], actor="asha", reason=" ", now=now)


def test_an_address_in_another_spelling_is_the_same(now: datetime) -> None:
    account = account_with("::ffff:203.0.113.1", "203.0.113.1", "2001:DB8::1", now=now)

    assert egress.addresses_of(account_id=account.pk) == ["203.0.113.1", "2001:db8::1"]


def test_a_family_shares_an_address(now: datetime) -> None:
    family = AccountGroupFactory()

    account_with("203.0.113.7", now=now, group=family)
    account_with("203.0.113.7", now=now, group=family)

    assert RegisteredAddress.objects.count() == 2


@pytest.mark.parametrize("same", ["none", "other", "mine only", "theirs only"])
def test_strangers_do_not_share_an_address(now: datetime, same: str) -> None:
    mine = AccountGroupFactory() if same in {"other", "mine only"} else None
    theirs = AccountGroupFactory() if same in {"other", "theirs only"} else None
    account_with("203.0.113.7", now=now, group=theirs)

    with pytest.raises(AddressRefused, match="inside one family alone"):
        account_with("203.0.113.7", now=now, group=mine)

    assert RegisteredAddress.objects.count() == 1


def test_an_account_with_a_shared_address_stays_in_its_family(now: datetime) -> None:
    family = AccountGroupFactory()
    account_with("203.0.113.7", now=now, group=family)
    account = account_with("203.0.113.7", now=now, group=family)

    with pytest.raises(AddressRefused, match="inside one family alone"):
        health.change(account_id=account.pk, changes={"group": None}, actor="asha", now=now)

    account.refresh_from_db()
    assert account.group == family


def test_the_database_itself_keeps_families_apart(now: datetime) -> None:
    family = AccountGroupFactory()
    first = account_with("203.0.113.7", now=now, group=family)
    second = account_with("203.0.113.7", now=now, group=family)
    stranger = account_with(now=now)

    with pytest.raises(IntegrityError, match="one family alone"), transaction.atomic():
        BrokerAccount.objects.filter(pk=second.pk).update(group=AccountGroupFactory())
    with pytest.raises(IntegrityError, match="one family alone"), transaction.atomic():
        RegisteredAddress.objects.create(
            account=stranger, address="203.0.113.7", registered_at=now, registered_by="asha"
        )
    BrokerAccount.objects.filter(pk=first.pk).update(group=family)


@pytest.mark.parametrize("proxy", ["http://user:password@proxy:3128", "socks5://proxy:1080", "proxy:3128"])
def test_a_proxy_is_named_without_a_password(proxy: str) -> None:
    account = BrokerAccountFactory.build(order_proxy=proxy)

    with pytest.raises(ValidationError, match="without a name and a password"):
        account.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        account.save(force_insert=True)


def test_the_periodic_task_looks_at_every_bound_account(echo: EchoServer, now: datetime) -> None:
    account = account_with("203.0.113.7", now=now)
    account_with(now=now)
    out = BrokerAccountFactory()
    egress.register(account_id=out.pk, addresses=["203.0.113.9"], actor="asha", reason="static", now=now)

    tasks.check_egress.apply(throw=True)

    account.refresh_from_db()
    assert account.egress_fault
    assert echo.asked == 1


def test_the_periodic_task_goes_on_where_one_account_cannot_be_seen(echo: EchoServer, now: datetime) -> None:
    echo.status = 500
    account_with("203.0.113.7", now=now)
    account_with("203.0.113.8", now=now)

    tasks.check_egress.apply(throw=True)

    assert verdicts() == ["unseen", "unseen"]


@pytest.fixture
def order() -> OrderRequest:
    """Return an order that the exchange takes."""
    return OrderRequest(
        variety=Variety.REGULAR,
        exchange=Exchange.NSE,
        tradingsymbol="INFY",
        transaction_type=TransactionType.BUY,
        quantity=1,
        product=Product.CNC,
        order_type=OrderType.MARKET,
        tag="egress",
        market_protection=Decimal(-1),
    )


@pytest.fixture
def login_at(sandbox: SandboxServer) -> Callable[..., Login]:
    """Return a maker of logins of the first user."""
    token = sandbox.session()

    def make(**route: str) -> Login:
        return Login(
            account_id="11111111-1111-1111-1111-111111111111",
            api_key=sandbox.user().api_key,
            access_token=token,
            version=1,
            rest_root=sandbox.rest_root,
            ws_root="",
            **route,
        )

    return make


def sources(sandbox: SandboxServer, since: int) -> dict[str, str]:
    return {row["route"]: row["source"] for row in sandbox.journal(since=since)}


def test_the_exchange_sees_the_accounts_address(
    sandbox: SandboxServer, login_at: Callable[..., Login], order: OrderRequest
) -> None:
    before = sandbox.journal_end()

    Sessions().client(login_at(source_address="127.0.0.7")).place_order(order)

    assert sources(sandbox, before)["order.place"] == "127.0.0.7"


def test_order_calls_go_through_the_proxy_and_reads_do_not(
    sandbox: SandboxServer, login_at: Callable[..., Login], order: OrderRequest, proxy: ProxyServer
) -> None:
    before = sandbox.journal_end()
    client = Sessions().client(login_at(order_proxy=proxy.url))

    client.place_order(order)
    client.profile()

    seen = sources(sandbox, before)
    assert seen["order.place"] == ProxyServer.ADDRESS
    assert set(seen.values()) == {ProxyServer.ADDRESS, "127.0.0.1"}
    assert len(proxy.carried) == 1


def test_a_proxy_that_is_away_leaves_the_order_unsent(
    login_at: Callable[..., Login], order: OrderRequest, proxy: ProxyServer
) -> None:
    proxy.stop()

    with pytest.raises(Unavailable):
        Sessions().client(login_at(order_proxy=proxy.url)).place_order(order)


def test_a_plain_proxy_that_refuses_leaves_the_order_in_doubt_or_refused(
    sandbox: SandboxServer, login_at: Callable[..., Login], order: OrderRequest, proxy: ProxyServer
) -> None:
    proxy.refuses = True
    before = sandbox.journal_end()

    with pytest.raises(KiteError) as refused:
        Sessions().client(login_at(order_proxy=proxy.url)).place_order(order)

    assert type(refused.value) in {Refused, OutcomeUnknown}
    assert sandbox.placed(since=before) == []


def test_a_tunnel_that_is_refused_leaves_the_order_unsent(proxy: ProxyServer, order: OrderRequest) -> None:
    proxy.refuses = True
    login = Login(
        account_id="a",
        api_key="key",
        access_token="token",
        version=1,
        rest_root="https://127.0.0.1:9",
        ws_root="",
        order_proxy=proxy.url,
    )

    with pytest.raises(Unavailable) as unsent:
        Sessions().client(login).place_order(order)

    assert not isinstance(unsent.value, OutcomeUnknown)
    assert proxy.carried == ["CONNECT 127.0.0.1:9"]


def test_the_api_registers_looks_and_shows(program: APIClient, echo: EchoServer, now: datetime, settings: Any) -> None:
    account = account_with(now=now, label="desk-1")

    put = program.put(
        "/api/v1/accounts/desk-1/addresses", {"addresses": ["203.0.113.7"], "reason": "static"}, format="json"
    )
    assert (put.status_code, put.json()["addresses"]) == (200, ["203.0.113.7"])
    looked = program.post("/api/v1/accounts/desk-1/egress-check")
    assert (looked.status_code, looked.json()["verdict"], looked.json()["seen"]) == (200, "foreign", "127.0.0.1")

    assert program.get("/api/v1/accounts/desk-1").json()["egress_fault"]
    assert program.get("/api/v1/accounts/stats").json()["orders_refused_by_egress"] == 1
    history = program.get("/api/v1/accounts/desk-1/history").json()["results"]
    assert [row["action"] for row in history] == ["accounts.egress.refused", "accounts.egress.registered"]
    assert program.get("/api/v1/accounts/desk-1/addresses").json()["seen"] == "127.0.0.1"
    assert account.label == "desk-1"


def test_an_account_with_a_history_is_not_deleted(program: APIClient, now: datetime) -> None:
    account_with("203.0.113.7", now=now, label="desk-1")
    path = "/api/v1/accounts/desk-1"

    assert program.delete(path, {"reason": "mistake"}, format="json").status_code == 409
    program.put(f"{path}/state", {"state": "cordoned", "reason": "leaving"}, format="json")
    refused = program.delete(path, {"reason": "mistake"}, format="json")

    assert refused.status_code == 409
    assert "registered address" in refused.json()["detail"]
    assert BrokerAccount.objects.filter(label="desk-1").exists()


def test_an_account_that_never_did_anything_is_deleted(program: APIClient, now: datetime) -> None:
    CredentialFactory(account__label="desk-1")
    program.put("/api/v1/accounts/desk-1/state", {"state": "cordoned", "reason": "a mistake"}, format="json")

    deleted = program.delete("/api/v1/accounts/desk-1", {"reason": "a mistake"}, format="json")

    assert deleted.status_code == 204
    assert not BrokerAccount.objects.filter(label="desk-1").exists()
    assert AuditEntry.objects.filter(action="accounts.account.deleted").count() == 1
