"""How an alert is said: one interface, three ways."""

import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.audit import record, required
from ops.errors import NotSaid
from ops.models import Alert, AlertChannel, AlertDelivery
from webhooks import signing
from webhooks.addresses import networks, resolve
from webhooks.errors import AddressRefused
from webhooks.sending import Answer, post

MARKS: Final = {"critical": "CRITICAL", "warning": "Warning"}
GOOD: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Saying:
    """What is said of an alert, and when."""

    alert: Alert
    occasion: AlertDelivery.Occasion
    message_id: str
    at: datetime

    @property
    def title(self) -> str:
        """One line for a telephone's screen."""
        head = {
            AlertDelivery.Occasion.OPENED: MARKS[self.alert.severity],
            AlertDelivery.Occasion.ESCALATED: "NOBODY HAS ACKNOWLEDGED",
            AlertDelivery.Occasion.RESOLVED: "Over",
        }[self.occasion]
        return f"[{settings.INSTALLATION_ID}] {head}: {self.alert.text}"

    @property
    def text(self) -> str:
        """The whole message."""
        since = f"{timezone.localtime(self.alert.opened_at):%d %b %H:%M}"
        lines = [self.title, self.alert.mend, f"Since {since}. {settings.PUBLIC_URL}{self._page()}"]
        return "\n".join(line for line in lines if line)

    def _page(self) -> str:
        return reverse("admin:ops_alert_change", args=[self.alert.pk]) if self.alert.pk else reverse("desk")


def say(*, channel: AlertChannel, saying: Saying) -> None:
    """Say it once; raises NotSaid, whose text names no secret."""
    WAYS[channel.kind](channel, saying)


def say_trial(*, channel: AlertChannel, actor: str, reason: str, now: datetime) -> None:
    """Say at once that this is a trial; raises NotSaid."""
    trial = Alert(
        key="trial",
        code="trial",
        subject=channel.name,
        severity=Alert.Severity.WARNING,
        text=f"A trial by {actor}: {required(reason)}"[:300],
        mend="Nothing is wrong.",
        opened_at=now,
        seen_at=now,
    )
    with transaction.atomic():
        record(
            actor=actor,
            action="ops.alert_channel.tried",
            subject=f"alertchannel:{channel.name}",
            reason=reason[:200],
            now=now,
        )
    say(channel=channel, saying=Saying(trial, AlertDelivery.Occasion.OPENED, f"trial-{now.timestamp():.0f}", now))


def allowed_networks() -> list[str]:
    """Return the inner networks that webhooks may go to."""
    return list(settings.WEBHOOK_ALLOWED_NETWORKS)


def _by_webhook(channel: AlertChannel, saying: Saying) -> None:
    alert = saying.alert
    body = orjson.dumps(
        {
            "type": f"alert.{saying.occasion}",
            "timestamp": saying.at,
            "data": {
                "id": alert.pk,
                "key": alert.key,
                "severity": alert.severity,
                "text": alert.text,
                "mend": alert.mend,
                "owner": alert.owner,
                "opened_at": alert.opened_at,
                "resolved_at": alert.resolved_at,
            },
        }
    )
    secrets = [] if channel.secret is None else [channel.secret.reveal()]
    stamp = int(saying.at.timestamp())
    headers = signing.headers(secrets_in_force=secrets, message_id=saying.message_id, timestamp=stamp, body=body)
    _post(channel.target, body, headers)


def _by_email(channel: AlertChannel, saying: Saying) -> None:
    message = EmailMessage(
        subject=saying.title[:200],
        body=saying.text,
        to=[address.strip() for address in channel.target.split(",")],
        headers={"X-Ticker-Alert": saying.alert.key.replace("\n", " ")},
    )
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        raise NotSaid(f"{type(error).__name__}: {error}"[:300]) from error


def _by_telegram(channel: AlertChannel, saying: Saying) -> None:
    if channel.secret is None:
        raise NotSaid("the channel has no bot token")
    body = orjson.dumps({"chat_id": channel.target, "text": saying.text, "disable_web_page_preview": True})
    # Telegram wants the token in the path; no log and no error of ours names the path.
    _post(f"{settings.TELEGRAM_ROOT}/bot{channel.secret.reveal()}/sendMessage", body, {})


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    try:
        target = resolve(url=url, allowed=networks(allowed_networks()))
        answer = post(target=target, body=body, headers=headers, ca_file=settings.WEBHOOK_CA_FILE)
    except (AddressRefused, ValueError) as error:
        raise NotSaid(str(error)[:300]) from error
    if answer.status not in GOOD:
        raise NotSaid(_what(answer))


def _what(answer: Answer) -> str:
    return answer.error or f"answered {answer.status}: {answer.text}"[:300]


WAYS: Final[Mapping[str, Callable[[AlertChannel, Saying], None]]] = {
    AlertChannel.Kind.WEBHOOK: _by_webhook,
    AlertChannel.Kind.EMAIL: _by_email,
    AlertChannel.Kind.TELEGRAM: _by_telegram,
}
