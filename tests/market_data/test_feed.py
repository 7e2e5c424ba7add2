"""The feed against the exchange: sockets equal to the plan, whatever happens to them."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings, settings
from redis import Redis

from accounts.credentials import complete_login, rotate
from accounts.health import cordon, uncordon
from accounts.models import AuditEntry, BrokerAccount, Credential
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.types import Exchange, Login, Mode, OrderRequest, OrderType, Product, TransactionType, Variety
from market_data.bus import AsyncBus, SyncBus
from market_data.catalogue import sync
from market_data.errors import ShardTaken
from market_data.feed import Feed
from market_data.ledger import DatabaseLedger
from market_data.models import FeedGap, FeedShard, Instrument
from market_data.spool import Spool
from market_data.subscriptions import unwish, wish
from tests.factories import BrokerAccountFactory, CredentialFactory
from tests.market_data.live import Loop
from tests.sandbox_server import SandboxServer, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


class RunningFeed:
    """A feed on its own loop, as its process runs it."""

    def __init__(
        self, *, on_order_update: Callable[[str, Mapping[str, object]], None] = lambda _account, _row: None
    ) -> None:
        self._loop = Loop()
        self._bus = AsyncBus(url=settings.REDIS_URL)
        ledger = DatabaseLedger(shard=0, shards=1, owner=f"test:{os.getpid()}", sessions=Sessions())
        self._folder = tempfile.TemporaryDirectory(prefix="spool-")
        self._feed = Feed(
            shard=0,
            bus=self._bus,
            ledger=ledger,
            on_order_update=on_order_update,
            spool=Spool(Path(self._folder.name)),
        )
        self.future: Future[None] = self._loop.start(self._feed.run())

    def __enter__(self) -> "RunningFeed":
        return self

    def __exit__(self, *_: object) -> None:
        self.future.cancel()
        self._loop.run(self._bus.close())
        wait_for(
            lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("ledger")], seconds=15
        )
        self._loop.run(self._loop.finish_threads(), seconds=15)
        self._loop.close()
        self._folder.cleanup()


class Floor:
    """Two logged-in accounts of the exchange and what the bus says."""

    def __init__(self, exchange: SandboxServer) -> None:
        self.exchange = exchange
        self.bus = SyncBus(url=settings.REDIS_URL, shards=1)
        self.accounts = [self._log_in(number) for number in (0, 1)]

    def _log_in(self, number: int) -> BrokerAccount:
        user = self.exchange.user(number)
        account = BrokerAccountFactory(label=f"desk-{number}", broker_user_id=user.user_id)
        CredentialFactory(
            account=account,
            api_key=user.api_key,
            api_secret=user.api_secret,
            access_token=self.exchange.session(number),
            token_expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
        return account

    def feed(self) -> dict[str, Any]:
        report: Any = self.bus.read_health().get("feed:0", {})
        return report

    def tokens(self) -> dict[str, int]:
        return {part["label"]: part["tokens"] for part in self.feed().get("accounts", [])}

    def streamed(self) -> set[int]:
        return set(self.bus.latest()["instrument_token"].tolist())

    def kinds(self) -> dict[int, int]:
        rows = self.bus.latest()
        return dict(zip(rows["instrument_token"].tolist(), rows["kind"].tolist(), strict=True))

    def newest(self) -> dict[int, float]:
        rows = self.bus.latest()
        return dict(zip(rows["instrument_token"].tolist(), rows["received_at"].tolist(), strict=True))

    def all_tick_after(self, moment: float, tokens: set[int]) -> bool:
        newest = self.newest()
        return all(newest.get(token, 0.0) > moment for token in tokens)


@pytest.fixture
def floor(transactional_db: None, clean_redis: object, sandbox: SandboxServer, settings: LazySettings) -> Floor:
    settings.KITE_WS_ROOT = sandbox.ws_root
    settings.KITE_REST_ROOT = sandbox.rest_root
    return Floor(sandbox)


@pytest.fixture
def wanted(floor: Floor) -> list[Instrument]:
    """Want 60 liquid instruments of the exchange."""
    login_client = Sessions().client(_login(floor.accounts[0]))
    sync(dump=login_client.instruments(), now=datetime.now(UTC))
    instruments = list(Instrument.objects.filter(exchange="NSE", segment="NSE").order_by("tradingsymbol")[:60])
    wish(instruments=instruments, mode=Mode.QUOTE, wanted_by="test", now=datetime.now(UTC))
    return instruments


def _login(account: BrokerAccount) -> Login:
    return login_for(account_id=account.pk, now=datetime.now(UTC))


@pytest.fixture
def feed(floor: Floor, wanted: list[Instrument]) -> Iterator[RunningFeed]:
    """Return a feed that streams everything wanted over both accounts."""
    with RunningFeed() as running:
        tokens = {row.instrument_token for row in wanted}
        wait_for(lambda: floor.streamed() == tokens and sum(floor.tokens().values()) == len(tokens), seconds=30)
        yield running


def test_everything_wanted_is_streamed_over_all_accounts(
    floor: Floor, wanted: list[Instrument], feed: RunningFeed
) -> None:
    assert sum(floor.tokens().values()) == len(wanted)
    assert min(floor.tokens().values()) > 0


def test_a_new_wish_ticks(floor: Floor, feed: RunningFeed) -> None:
    another = Instrument.objects.filter(exchange="NSE", segment="NSE").order_by("-tradingsymbol")[0]

    wish(instruments=[another], mode=Mode.FULL, wanted_by="test", now=datetime.now(UTC))

    wait_for(lambda: another.instrument_token in floor.streamed(), seconds=30)


def test_a_wish_knocks_and_its_first_value_is_stored_at_once(
    floor: Floor, wanted: list[Instrument], monkeypatch: pytest.MonkeyPatch
) -> None:
    for period in ("PLAN_SECONDS", "SNAPSHOT_SECONDS"):
        monkeypatch.setattr(f"market_data.feed.{period}", 600.0)
    another = Instrument.objects.filter(exchange="NSE", segment="NSE").order_by("-tradingsymbol")[0]

    with RunningFeed():
        wait_for(lambda: len(floor.streamed()) == len(wanted), seconds=30)
        wish(instruments=[another], mode=Mode.FULL, wanted_by="test", now=datetime.now(UTC))

        wait_for(lambda: another.instrument_token in floor.streamed(), seconds=30)


def test_a_withdrawn_wish_leaves_the_last_values(floor: Floor, wanted: list[Instrument], feed: RunningFeed) -> None:
    unwish(instruments=wanted[:10], wanted_by="test")

    left = {row.instrument_token for row in wanted[10:]}
    wait_for(lambda: floor.streamed() == left and sum(floor.tokens().values()) == 50, seconds=30)


def test_a_change_of_mode_reaches_the_exchange(floor: Floor, wanted: list[Instrument], feed: RunningFeed) -> None:
    wish(instruments=wanted[:1], mode=Mode.FULL, wanted_by="depth", now=datetime.now(UTC))

    token = wanted[0].instrument_token
    wait_for(
        lambda: int(floor.bus.latest()["kind"][floor.bus.latest()["instrument_token"] == token][0]) == 2, seconds=30
    )


def test_a_killed_socket_moves_its_instruments_to_another_account(
    floor: Floor, wanted: list[Instrument], feed: RunningFeed
) -> None:
    tokens = {row.instrument_token for row in wanted}
    victim = floor.accounts[0]
    killed_at = datetime.now(UTC).timestamp()

    floor.exchange.fault("socket_drop", user=victim.broker_user_id)

    wait_for(lambda: floor.tokens() == {"desk-1": 60} and floor.all_tick_after(killed_at, tokens), seconds=30)
    victim.refresh_from_db()
    assert victim.state == BrokerAccount.State.DEGRADED


def test_a_refused_reconnect_loses_no_subscription(floor: Floor, wanted: list[Instrument], feed: RunningFeed) -> None:
    floor.exchange.fault("connection_refused", user=floor.accounts[0].broker_user_id, duration=5)
    killed_at = datetime.now(UTC).timestamp()

    floor.exchange.fault("socket_drop", user=floor.accounts[0].broker_user_id)

    wait_for(lambda: floor.all_tick_after(killed_at, {row.instrument_token for row in wanted}), seconds=30)


def test_the_hole_is_written_down_and_closed(floor: Floor, feed: RunningFeed) -> None:
    lost = floor.tokens()["desk-0"]

    floor.exchange.fault("socket_drop", user=floor.accounts[0].broker_user_id)

    gap = wait_for(lambda: FeedGap.objects.filter(ended_at__isnull=False).first(), seconds=30)
    assert gap.account_label == "desk-0"
    assert len(gap.instrument_tokens) == lost
    assert timedelta(0) < gap.ended_at - gap.started_at < timedelta(seconds=30)


def test_a_half_open_socket_is_found_and_its_instruments_move(
    floor: Floor, wanted: list[Instrument], feed: RunningFeed
) -> None:
    floor.exchange.fault("socket_half_open", user=floor.accounts[0].broker_user_id)
    silent_from = datetime.now(UTC).timestamp()

    tokens = {row.instrument_token for row in wanted}
    wait_for(lambda: floor.all_tick_after(silent_from + 1, tokens), seconds=30)


def test_the_last_account_is_not_degraded(floor: Floor, wanted: list[Instrument], feed: RunningFeed) -> None:
    cordon(account_id=floor.accounts[1].pk, reason="test", actor="test", now=datetime.now(UTC))
    wait_for(lambda: floor.tokens() == {"desk-0": 60})

    floor.exchange.fault("socket_drop", user=floor.accounts[0].broker_user_id)
    dropped_at = datetime.now(UTC).timestamp()

    wait_for(lambda: floor.all_tick_after(dropped_at, {row.instrument_token for row in wanted}), seconds=30)
    assert BrokerAccount.objects.get(pk=floor.accounts[0].pk).state == BrokerAccount.State.ACTIVE


def test_a_cordoned_account_streams_nothing_and_comes_back(floor: Floor, feed: RunningFeed) -> None:
    before = floor.tokens()

    cordon(account_id=floor.accounts[0].pk, reason="test", actor="test", now=datetime.now(UTC))
    wait_for(lambda: floor.tokens() == {"desk-1": 60})
    uncordon(account_id=floor.accounts[0].pk, reason="test", actor="test", now=datetime.now(UTC))

    wait_for(lambda: floor.tokens() == before)


def test_a_new_login_replaces_the_socket_without_losing_a_subscription(
    floor: Floor, wanted: list[Instrument], feed: RunningFeed
) -> None:
    account = floor.accounts[0]
    user = floor.exchange.user(0)
    held = floor.tokens()

    rotate(
        account_id=account.pk,
        api_key=user.api_key,
        api_secret=user.api_secret,
        actor="test",
        reason="rotation day",
        now=datetime.now(UTC),
    )
    rotated_at = datetime.now(UTC).timestamp()

    tokens = {row.instrument_token for row in wanted}
    wait_for(lambda: floor.tokens() == held and floor.all_tick_after(rotated_at + 1, tokens), seconds=30)
    assert floor.streamed() == tokens
    assert not FeedGap.objects.exists()


def test_a_login_of_a_live_account_does_not_degrade_it(
    floor: Floor, wanted: list[Instrument], feed: RunningFeed
) -> None:
    account, held = floor.accounts[0], floor.tokens()

    complete_login(account_id=account.pk, request_token=floor.exchange.login(0), actor="test", now=datetime.now(UTC))
    logged_in_at = datetime.now(UTC).timestamp()

    tokens = {row.instrument_token for row in wanted}
    wait_for(lambda: floor.tokens() == held and floor.all_tick_after(logged_in_at + 1, tokens), seconds=30)
    assert floor.streamed() == tokens
    assert not AuditEntry.objects.filter(action="accounts.account.degraded").exists()
    account.refresh_from_db()
    assert (account.state, account.recovers_at) == (BrokerAccount.State.ACTIVE, None)


def test_a_dead_token_is_forgotten_and_its_instruments_move(
    floor: Floor, wanted: list[Instrument], feed: RunningFeed
) -> None:
    killed_at = datetime.now(UTC).timestamp()

    floor.exchange.fault("token_killed", user=floor.accounts[0].broker_user_id)

    wait_for(lambda: floor.all_tick_after(killed_at, {row.instrument_token for row in wanted}), seconds=30)
    wait_for(
        lambda: Credential.objects.get(account=floor.accounts[0], current=True).token_expires_at is None, seconds=15
    )


def test_a_refusal_without_a_dead_token_keeps_the_token(floor: Floor, feed: RunningFeed) -> None:
    floor.exchange.fault("socket_refused", user=floor.accounts[0].broker_user_id, duration=8)

    floor.exchange.fault("socket_drop", user=floor.accounts[0].broker_user_id)

    wait_for(lambda: floor.tokens() == {"desk-1": 60}, seconds=30)
    assert Credential.objects.get(account=floor.accounts[0], current=True).token_expires_at is not None


def test_values_outlive_a_restart_of_the_feed_in_a_new_epoch(
    floor: Floor, wanted: list[Instrument], clean_redis: object
) -> None:
    tokens = {row.instrument_token for row in wanted}
    with RunningFeed():
        wait_for(lambda: floor.streamed() == tokens, seconds=30)
    floor.exchange.clock(pause=True)

    with RunningFeed():
        wait_for(lambda: floor.feed().get("epoch") == 2)
        assert floor.streamed() == tokens

    assert FeedShard.objects.get().epoch == 2


def test_a_second_feed_stands_by_until_the_first_ends(floor: Floor, wanted: list[Instrument]) -> None:
    with RunningFeed() as first:
        wait_for(lambda: floor.feed().get("epoch") == 1)
        with RunningFeed():
            first.future.cancel()

            wait_for(lambda: floor.feed().get("epoch") == 2, seconds=30)


def test_a_feed_on_a_new_database_passes_the_epoch_the_bus_remembers(
    floor: Floor, wanted: list[Instrument], clean_redis: Redis
) -> None:
    clean_redis.set("fence:0", 41)

    with RunningFeed():
        wait_for(lambda: floor.feed().get("epoch") == 42)


def test_a_deposed_feed_ends(floor: Floor, wanted: list[Instrument]) -> None:
    with RunningFeed() as running:
        wait_for(lambda: floor.feed().get("epoch") == 1)
        floor.bus._redis.set("fence:0", 99)

        with pytest.raises(ExceptionGroup) as ended:
            running.future.result(30)

    assert ended.group_contains(ShardTaken)


def test_order_updates_leave_by_the_callback(floor: Floor, wanted: list[Instrument]) -> None:
    heard: list[tuple[str, Mapping[str, object]]] = []
    with RunningFeed(on_order_update=lambda account_id, row: heard.append((account_id, row))):
        wait_for(lambda: len(floor.tokens()) == 2, seconds=30)
        client = Sessions().client(_login(floor.accounts[0]))
        client.place_order(_order(wanted[0]))

        wait_for(lambda: any(row["status"] == "COMPLETE" for _, row in heard))

    assert {account_id for account_id, _ in heard} == {str(floor.accounts[0].pk)}


def _order(instrument: Instrument) -> OrderRequest:
    return OrderRequest(
        variety=Variety.REGULAR,
        exchange=Exchange.NSE,
        tradingsymbol=instrument.tradingsymbol,
        transaction_type=TransactionType.BUY,
        quantity=1,
        product=Product.CNC,
        order_type=OrderType.MARKET,
        tag="feedtest",
        market_protection=Decimal(-1),
    )


def test_the_report_names_lag_and_age_per_account(floor: Floor, feed: RunningFeed) -> None:
    report = wait_for(lambda: (found := floor.feed())["accounts"][0]["lag_ms"] and found)

    account = report["accounts"][0]
    assert account["streaming"]
    assert 0 < account["lag_ms"]["p50"] < 200
    assert account["last_tick_age"] < 3
    assert report["wanted"] == 60
