"""Alerts: opened once, said where they should be, taken in hand, escalated, over."""

import base64
import email
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse

from accounts.errors import ReasonMissing
from accounts.models import AuditEntry, User
from ops import alerts, saying, status
from ops.errors import AlertUnknown
from ops.models import Alert, AlertChannel, AlertDelivery
from ops.state import Finding
from ops.tasks import say_alerts, watch
from tests.factories import BrokerAccountFactory, CredentialFactory
from tests.ops.smtp_server import MailServer, mail_server
from tests.webhooks.receiver import Receiver, receiving
from webhooks import signing

pytestmark = pytest.mark.django_db(transaction=True)
RED = Finding(code="feed_silent", severity="red", subject="feed", text="No tick has arrived.", mend="Look at the feed.")
AMBER = Finding(code="budget_short", severity="amber", subject="one", text="one has used 80 %.", mend="Wait.")
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
BOT = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
# Ten in the evening in India.
NIGHT = datetime(2026, 11, 24, 16, 30, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def hook(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def post_office(settings: Any) -> Iterator[MailServer]:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with mail_server() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
        yield server


def channel(receiver: Receiver, **values: Any) -> AlertChannel:
    fields = {"name": "pager", "kind": "webhook", "target": receiver.url, "secret": SECRET, **values}
    return AlertChannel.objects.create(**fields)


def bodies(receiver: Receiver) -> list[tuple[str, str]]:
    return [(said["type"], said["data"]["key"]) for said in (json.loads(heard.body) for heard in receiver.heard)]


def test_a_finding_becomes_one_alert_however_often_it_is_seen(now: datetime) -> None:
    for second in range(5):
        alerts.watch(findings=[RED], now=now + timedelta(seconds=second))

    alert = Alert.objects.get()
    assert (alert.key, alert.severity, alert.sightings) == ("feed_silent:feed", "critical", 5)
    assert AuditEntry.objects.filter(action="ops.alert.opened").count() == 1


def test_the_database_keeps_one_open_alert_a_key(now: datetime) -> None:
    alerts.watch(findings=[RED], now=now)
    row = Alert.objects.get()
    row.pk = None

    with pytest.raises(IntegrityError, match="alert_one_open_per_key"):
        row.save(force_insert=True)


def test_an_alert_is_over_when_its_finding_stays_away(now: datetime) -> None:
    alerts.watch(findings=[RED], now=now)
    alerts.watch(findings=[], now=now + alerts.OVER_AFTER - timedelta(seconds=1))
    assert Alert.objects.get().resolved_at is None

    alerts.watch(findings=[], now=now + alerts.OVER_AFTER)

    assert Alert.objects.get().resolved_by == "platform"


def test_a_finding_that_comes_back_after_its_end_is_another_alert(now: datetime) -> None:
    alerts.watch(findings=[RED], now=now)
    alerts.watch(findings=[], now=now + alerts.OVER_AFTER)

    opened = alerts.watch(findings=[RED], now=now + alerts.OVER_AFTER)

    assert len(opened) == 1
    assert Alert.objects.count() == 2


def test_a_critical_alert_is_said_at_once_and_signed(hook: Receiver, now: datetime) -> None:
    channel(hook)
    alerts.watch(findings=[RED], now=now)

    assert saying.deliver_due(now=now) == 1

    heard = hook.heard[0]
    stamp, message_id = int(heard.headers["webhook-timestamp"]), heard.headers["webhook-id"]
    wanted = signing.signature(secret=SECRET, message_id=message_id, timestamp=stamp, body=heard.body)
    assert heard.headers["webhook-signature"] == wanted
    assert json.loads(heard.body)["data"]["mend"] == "Look at the feed."


def test_nothing_is_said_twice(hook: Receiver, now: datetime) -> None:
    channel(hook)
    alerts.watch(findings=[RED], now=now)

    said = [saying.deliver_due(now=now + timedelta(seconds=number)) for number in range(3)]

    assert said == [1, 0, 0]
    assert len(hook.heard) == 1


def test_two_workers_say_an_alert_once(hook: Receiver, now: datetime) -> None:
    channel(hook)
    alerts.watch(findings=[RED], now=now)

    def deliver(_: int) -> int:
        try:
            return saying.deliver_due(now=now)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        said = sum(pool.map(deliver, range(8)))

    assert (said, len(hook.heard)) == (1, 1)


def test_a_warning_that_goes_by_itself_is_written_down_and_not_said(hook: Receiver, now: datetime) -> None:
    channel(hook)
    alerts.watch(findings=[AMBER], now=now)
    assert saying.deliver_due(now=now) == 0
    Alert.objects.update(seen_at=now - alerts.OVER_AFTER)
    alerts.watch(findings=[], now=now)

    assert saying.deliver_due(now=now + timedelta(minutes=1)) == 0

    assert hook.heard == []
    assert AlertDelivery.objects.get().dropped_at is not None


def test_who_was_told_of_an_alert_is_told_of_its_end(hook: Receiver, now: datetime) -> None:
    channel(hook)
    alerts.watch(findings=[RED], now=now)
    saying.deliver_due(now=now)
    alerts.watch(findings=[], now=now + alerts.OVER_AFTER)

    saying.deliver_due(now=now + alerts.OVER_AFTER)

    assert bodies(hook) == [("alert.opened", "feed_silent:feed"), ("alert.resolved", "feed_silent:feed")]


def test_an_alert_nobody_acknowledges_is_escalated_once(hook: Receiver, now: datetime) -> None:
    channel(hook, only_escalations=True)
    alerts.watch(findings=[RED], now=now)
    assert saying.deliver_due(now=now) == 0

    for minute in (10, 11, 12):
        alerts.watch(findings=[RED], now=now + timedelta(minutes=minute))
        saying.deliver_due(now=now + timedelta(minutes=minute))

    assert bodies(hook) == [("alert.escalated", "feed_silent:feed")]


def test_an_acknowledged_alert_is_not_escalated(hook: Receiver, now: datetime) -> None:
    channel(hook, only_escalations=True)
    alerts.watch(findings=[RED], now=now)
    alerts.acknowledge(alert_id=Alert.objects.get().pk, actor="asha", reason="looking", now=now)

    alerts.watch(findings=[RED], now=now + timedelta(minutes=10))
    saying.deliver_due(now=now + timedelta(minutes=10))

    assert hook.heard == []
    alert = Alert.objects.get()
    assert (alert.owner, alert.acknowledged_by, alert.escalated_at) == ("asha", "asha", None)


def test_acknowledging_wants_a_reason_and_an_open_alert(now: datetime) -> None:
    alerts.watch(findings=[RED], now=now)
    number = Alert.objects.get().pk

    with pytest.raises(ReasonMissing):
        alerts.acknowledge(alert_id=number, actor="asha", reason=" ", now=now)
    alerts.resolve(alert_id=number, actor="asha", reason="a drill", now=now)
    with pytest.raises(AlertUnknown):
        alerts.acknowledge(alert_id=number, actor="asha", reason="late", now=now)


def test_at_night_a_warning_waits_for_the_morning_and_a_critical_one_does_not(hook: Receiver) -> None:
    channel(hook, quiet_from=time(20), quiet_until=time(8))
    alerts.watch(findings=[RED, AMBER], now=NIGHT)
    alerts.watch(findings=[RED, AMBER], now=NIGHT + timedelta(minutes=1))

    saying.deliver_due(now=NIGHT + timedelta(minutes=1))
    assert bodies(hook) == [("alert.opened", "feed_silent:feed")]

    saying.deliver_due(now=NIGHT + timedelta(hours=9, minutes=59))
    assert len(hook.heard) == 1
    saying.deliver_due(now=NIGHT + timedelta(hours=10))
    assert bodies(hook)[1] == ("alert.opened", "budget_short:one")


def test_a_channel_for_critical_alerts_hears_no_warning(hook: Receiver, now: datetime) -> None:
    channel(hook, severity="critical")
    alerts.watch(findings=[AMBER], now=now)

    saying.deliver_due(now=now + timedelta(minutes=1))

    assert hook.heard == []


def test_a_warning_that_grows_critical_is_said_there_then(hook: Receiver, now: datetime) -> None:
    channel(hook, severity="critical")
    worse = Finding(code=AMBER.code, severity="red", subject=AMBER.subject, text="one is at its limit.", mend="")
    alerts.watch(findings=[AMBER], now=now)

    alerts.watch(findings=[worse], now=now + timedelta(seconds=10))
    saying.deliver_due(now=now + timedelta(seconds=10))

    assert bodies(hook) == [("alert.opened", "budget_short:one")]


def test_a_channel_that_fails_is_tried_again_with_growing_pauses(hook: Receiver, now: datetime) -> None:
    hook.statuses = [503, 503, 200]
    channel(hook)
    alerts.watch(findings=[RED], now=now)

    said = [saying.deliver_due(now=now + timedelta(seconds=number)) for number in (0, 4, 5, 19, 20)]

    assert said == [0, 0, 0, 0, 1]
    delivery = AlertDelivery.objects.get()
    assert (delivery.attempts, delivery.error) == (3, "")


def test_a_channel_that_stays_dead_is_given_up_with_what_it_answered(hook: Receiver, now: datetime) -> None:
    hook.statuses = [410]
    channel(hook)
    alerts.watch(findings=[RED], now=now)

    for attempt in range(saying.MOST_ATTEMPTS):
        saying.deliver_due(now=now + timedelta(hours=attempt))

    delivery = AlertDelivery.objects.get()
    assert delivery.attempts == saying.MOST_ATTEMPTS
    assert (delivery.due_at, delivery.error) == (None, "answered 410: heard")


def test_one_dead_channel_keeps_no_other_from_hearing(hook: Receiver, now: datetime) -> None:
    channel(hook, name="nowhere", target="http://127.0.0.1:1/")
    channel(hook)
    alerts.watch(findings=[RED], now=now)

    assert saying.deliver_due(now=now) == 1


def test_a_webhook_to_an_inner_address_is_refused(hook: Receiver, settings: Any, now: datetime) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    channel(hook)
    alerts.watch(findings=[RED], now=now)

    assert saying.deliver_due(now=now) == 0

    assert "not a public address" in AlertDelivery.objects.get().error


def test_an_alert_goes_out_by_mail(post_office: MailServer, now: datetime) -> None:
    AlertChannel.objects.create(name="mail", kind="email", target="asha@desk.example, binod@desk.example")
    alerts.watch(findings=[RED], now=now)

    assert saying.deliver_due(now=now) == 1

    message = email.message_from_string(post_office.messages[0])
    assert message["Subject"].endswith("CRITICAL: No tick has arrived.")
    assert "Look at the feed." in message.get_payload()
    assert len(post_office.recipients) == 2


def test_a_mail_that_is_refused_is_tried_again(post_office: MailServer, now: datetime) -> None:
    post_office.refuses = True
    AlertChannel.objects.create(name="mail", kind="email", target="nobody@desk.example")
    alerts.watch(findings=[RED], now=now)

    assert saying.deliver_due(now=now) == 0

    assert "SMTPRecipientsRefused" in AlertDelivery.objects.get().error


def test_an_alert_goes_out_by_telegram(hook: Receiver, settings: Any, now: datetime) -> None:
    settings.TELEGRAM_ROOT = hook.url.partition("/hook")[0]
    AlertChannel.objects.create(name="phone", kind="telegram", target="-100123", secret=BOT)
    alerts.watch(findings=[RED], now=now)

    assert saying.deliver_due(now=now) == 1

    heard = hook.heard[0]
    assert heard.path == f"/bot{BOT}/sendMessage"
    assert json.loads(heard.body)["chat_id"] == "-100123"


def test_the_bot_token_is_in_no_error(hook: Receiver, settings: Any, now: datetime) -> None:
    hook.statuses = [500]
    settings.TELEGRAM_ROOT = hook.url.partition("/hook")[0]
    AlertChannel.objects.create(name="phone", kind="telegram", target="-100123", secret=BOT)
    alerts.watch(findings=[RED], now=now)

    saying.deliver_due(now=now)

    assert BOT not in AlertDelivery.objects.get().error


def test_the_task_opens_alerts_from_the_real_state(clean_redis: Any) -> None:
    CredentialFactory(account=BrokerAccountFactory(label="one"))

    watch()

    found = {finding.code for finding in status.snapshot(now=datetime.now(UTC)).findings}
    assert "token_dead" in found
    assert set(Alert.objects.values_list("code", flat=True)) == found


def test_the_second_task_says_them(hook: Receiver, now: datetime) -> None:
    channel(hook)
    alerts.watch(findings=[RED], now=now - timedelta(seconds=1))

    say_alerts()

    assert len(hook.heard) == 1


def test_the_desk_shows_who_has_a_finding_in_hand(desk: Client, clean_redis: Any, operator: User) -> None:
    CredentialFactory(account=BrokerAccountFactory(label="one"))
    watch()
    number = Alert.objects.get(code="token_dead").pk
    verb = reverse("desk-verb", args=["acknowledge"])

    preview = desk.get(verb, {"target": number}).json()
    done = desk.post(verb, {"target": number, "reason": "calling the client"}).json()

    assert "one is not logged in" in preview["text"]
    assert done["done"].startswith("asha has it in hand")
    shown = {row["code"]: row.get("alert") for row in desk.get(reverse("desk-state")).json()["findings"]}
    assert shown["token_dead"]["owner"] == "asha"
