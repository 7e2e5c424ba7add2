"""Accounts, sockets and tokens are lost at three thousand instruments: how long each is deaf, and that none is lost."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from django.conf import LazySettings
from django.conf import settings as django_settings

from accounts import health
from accounts.models import AuditEntry, BrokerAccount, Credential
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.types import Mode
from market_data.batches import BatchKind
from market_data.bus import AsyncBus
from market_data.catalogue import sync
from market_data.ledger import RECOVERS_AFTER
from market_data.models import Instrument
from market_data.subscriptions import wish
from tests.market_data.live import Loop
from tests.market_data.test_feed import Floor, RunningFeed
from tests.proving import Numbers
from tests.sandbox_server import SandboxServer, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

INSTRUMENTS = 3_000
SHORT, LONG = 6, 100
# A loss is given up as lost after this time; the bounds of the proof are far below.
PATIENCE = 30.0


class Ear:
    """Hears every batch and remembers when each instrument was heard first after a moment."""

    def __init__(self) -> None:
        self._loop = Loop()
        self._bus = AsyncBus(url=django_settings.REDIS_URL)
        self._since = float("inf")
        self._heard: dict[int, float] = {}
        self._task = self._loop.start(self._listen())

    def attend(self) -> None:
        """Begin anew from this moment."""
        self._heard = {}
        self._since = time.time()

    def deaf_seconds(self, tokens: set[int]) -> float | None:
        """Return how long the last of the instruments was not heard, None while one is not."""
        heard = self._heard
        if not tokens <= heard.keys():
            return None
        return max(heard[token] for token in tokens) - self._since

    def close(self) -> None:
        self._task.cancel()
        self._loop.run(self._bus.close())
        self._loop.close()

    async def _listen(self) -> None:
        async for batch in self._bus.batches([0]):
            if batch is None or batch.kind is BatchKind.SNAPSHOT:
                continue
            late = batch.rows[batch.rows["received_at"] > self._since]
            heard = self._heard
            for token, moment in zip(late["instrument_token"].tolist(), late["received_at"].tolist(), strict=True):
                heard.setdefault(token, moment)


class Desk(Floor):
    """Three logged-in accounts that stream three thousand instruments."""

    def __init__(self, exchange: SandboxServer) -> None:
        super().__init__(exchange)
        self.accounts.append(self._log_in(2))
        login = login_for(account_id=self.accounts[0].pk, now=datetime.now(UTC))
        sync(dump=Sessions().client(login).instruments(), now=datetime.now(UTC))
        rows = Instrument.objects.filter(listed=True).exclude(segment="INDICES").order_by("instrument_token")
        self.instruments = list(rows[:INSTRUMENTS])
        assert len(self.instruments) == INSTRUMENTS
        wish(instruments=self.instruments, mode=Mode.QUOTE, wanted_by="test", now=datetime.now(UTC))
        self.all = {row.instrument_token for row in self.instruments}

    def is_whole(self) -> bool:
        """Say whether every account streams its part and nothing is missing."""
        tokens = self.tokens()
        return len(tokens) == len(self.accounts) and min(tokens.values()) > 0 and sum(tokens.values()) == INSTRUMENTS

    def is_whole_since(self, moment: float) -> bool:
        """Say whether the feed, which reports once a second, found every account streaming after this moment."""
        report = self.feed()
        streaming = [part["streaming"] for part in report.get("accounts", [])]
        return report.get("at", 0.0) > moment and all(streaming) and self.is_whole()

    def held_by(self, feed: RunningFeed, account: BrokerAccount) -> set[int]:
        """Return what the account streams now."""
        lines = feed._feed._lines.get(str(account.pk), [])
        return {token for line in lines for token in line.wanted}

    def lose_socket(self, account: BrokerAccount) -> None:
        """Cut the sockets and let no new one in: with a door that opens again the account helps itself, sooner."""
        self.exchange.fault("socket_refused", user=account.broker_user_id)
        self.exchange.fault("socket_drop", user=account.broker_user_id)

    def lose_token(self, account: BrokerAccount) -> None:
        self.exchange.fault("token_killed", user=account.broker_user_id)

    def lose_account(self, account: BrokerAccount) -> None:
        health.cordon(account_id=account.pk, reason="the campaign", actor="test", now=datetime.now(UTC))

    def mend(self, number: int) -> None:
        """Bring an account back, however it was lost."""
        account = self.accounts[number]
        self.exchange.clear_faults()
        health.uncordon(account_id=account.pk, reason="mended", actor="test", now=datetime.now(UTC))
        self._renew(account, number)
        moment = time.time()
        wait_for(partial(self._is_whole_with, account, number, moment), seconds=60, every=0.1)

    def _is_whole_with(self, account: BrokerAccount, number: int, moment: float) -> bool:
        """The link's end and the refused handshake are two reports; the second may find the account mended already."""
        account.refresh_from_db()
        if account.state == BrokerAccount.State.DEGRADED:
            health.restore(account_id=account.pk, now=datetime.now(UTC))
        if Credential.objects.get(account=account, current=True).access_token is None:
            self._renew(account, number)
        return self.is_whole_since(moment)

    def _renew(self, account: BrokerAccount, number: int) -> None:
        held = Credential.objects.get(account=account, current=True)
        held.access_token = self.exchange.session(number)
        held.token_expires_at, held.version = datetime.now(UTC) + timedelta(hours=1), held.version + 1
        held.save()


INJECTIONS: Sequence[Callable[[Desk, BrokerAccount], None]] = (Desk.lose_socket, Desk.lose_token, Desk.lose_account)


@pytest.fixture
def desk(transactional_db: None, clean_redis: object, sandbox: SandboxServer, settings: LazySettings) -> Desk:
    """Return three accounts that are logged in and want three thousand instruments."""
    settings.KITE_WS_ROOT = sandbox.ws_root
    settings.KITE_REST_ROOT = sandbox.rest_root
    sandbox.settings(limits=False)
    return Desk(sandbox)


@pytest.fixture
def feed(desk: Desk) -> Iterator[RunningFeed]:
    """Return a feed that streams everything."""
    with RunningFeed() as running:
        wait_for(lambda: desk.is_whole() and desk.streamed() >= desk.all, seconds=60, every=0.1)
        yield running


@pytest.fixture
def ear(desk: Desk) -> Iterator[Ear]:
    """Return somebody who hears everything."""
    listening = Ear()
    yield listening
    listening.close()


def is_heard(ear: Ear, tokens: set[int]) -> bool:
    return ear.deaf_seconds(tokens) is not None


def is_out(account: BrokerAccount) -> bool:
    account.refresh_from_db()
    return account.state != BrokerAccount.State.ACTIVE


def campaign(desk: Desk, feed: RunningFeed, ear: Ear, numbers: Numbers, *, count: int) -> list[float]:
    """Lose an account, a socket or a token so many times and return how long its instruments were deaf."""
    deaf = []
    for number in range(count):
        victim = desk.accounts[number % len(desk.accounts)]
        tokens = desk.held_by(feed, victim)
        assert tokens
        INJECTIONS[number // len(desk.accounts) % len(INJECTIONS)](desk, victim)
        ear.attend()
        wait_for(partial(is_heard, ear, tokens), seconds=PATIENCE, every=0.01)
        deaf.append(ear.deaf_seconds(tokens) or 0.0)
        wait_for(partial(is_out, victim), seconds=PATIENCE, every=0.05)
        wait_for(lambda: sum(desk.tokens().values()) == INSTRUMENTS, seconds=PATIENCE, every=0.1)
        numbers.add("losses")
        numbers.add("subscriptions lost", INSTRUMENTS - sum(desk.tokens().values()))
        numbers.step(number + 1, count)
        desk.mend(number % len(desk.accounts))
    return deaf


def judge(deaf: list[float], numbers: Numbers) -> None:
    numbers.most("deaf p50 in seconds", float(np.percentile(deaf, 50)))
    numbers.most("deaf p95 in seconds", float(np.percentile(deaf, 95)))
    numbers.most("deaf p99 in seconds", float(np.percentile(deaf, 99)))
    numbers.most("deaf at most in seconds", max(deaf))


@pytest.mark.proof(id="R28R")
def test_nothing_is_lost_with_an_account_a_socket_or_a_token(
    desk: Desk, feed: RunningFeed, ear: Ear, numbers: Numbers
) -> None:
    deaf = campaign(desk, feed, ear, numbers, count=SHORT)

    judge(deaf, numbers)
    why = AuditEntry.objects.filter(action__in=["accounts.account.degraded", "accounts.account.cordoned"])
    assert why.count() >= SHORT * 2 // 3
    assert all(entry.reason for entry in why)


@pytest.mark.long
@pytest.mark.proof(id="R28R")
def test_nothing_is_lost_in_a_hundred_losses(desk: Desk, feed: RunningFeed, ear: Ear, numbers: Numbers) -> None:
    deaf = campaign(desk, feed, ear, numbers, count=int(os.environ.get("LOSSES", LONG)))

    judge(deaf, numbers)


@pytest.mark.proof(id="R28R")
def test_a_lost_account_is_back_after_a_minute(desk: Desk, feed: RunningFeed, numbers: Numbers) -> None:
    victim = desk.accounts[0]
    desk.exchange.fault("socket_drop", user=victim.broker_user_id)
    wait_for(lambda: BrokerAccount.objects.get(pk=victim.pk).state == BrokerAccount.State.DEGRADED, seconds=PATIENCE)
    desk.exchange.clear_faults()
    lost = BrokerAccount.objects.get(pk=victim.pk)
    assert lost.state_changed_at is not None
    assert lost.recovers_at is not None
    assert lost.recovers_at - lost.state_changed_at == RECOVERS_AFTER == timedelta(seconds=60)

    assert health.restore_recovered(now=lost.recovers_at - timedelta(seconds=1)) == 0
    assert health.restore_recovered(now=lost.recovers_at) == 1

    wait_for(desk.is_whole, seconds=PATIENCE, every=0.1)
    numbers.most("seconds until it recovers", RECOVERS_AFTER.total_seconds())
