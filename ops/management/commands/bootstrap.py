"""Prepares an installation so that its first screen can be used; every start runs it."""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.models import BrokerAccount, User
from accounts.sessions import Sessions
from market_data import trading_days
from ops import bootstrap

FIRST_NAME = "admin"
KEY_FILE = "bootstrap.json"
NEXT = """Next:
  1. Sign in at {url}/admin/ and add a broker account.
  2. In the broker's developer console, register {url}/accounts/kite/callback as the redirect URL.
  3. Give the account its API key and secret (Rotate credential), then log it in.
  4. manage.py sync_instruments, then manage.py subscribe NIFTY NSE:INFY."""


class Command(OperatorCommand):
    """Assembles the steps of ops.bootstrap; each may run again."""

    help = (
        "Make the administrator and an API key. With the credentials file of the sandbox exchange also: its accounts, "
        "their logins, the instruments, default subscriptions and live option chains."
    )

    trial = Trial.SAID

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._done: dict[str, str] = {}

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say where the exchange's users and our secrets are."""
        parser.add_argument("--credentials", type=Path, help="users of the sandbox exchange; absent for a real broker")
        parser.add_argument("--secrets-dir", type=Path, required=True, help="folder that gets bootstrap.json")

    def answer(self, *, credentials: Path | None, secrets_dir: Path, preview: bool, **options: Any) -> Answer:
        """Run the steps in order and say how long each took."""
        customers = bootstrap.customers_of(credentials) if credentials is not None else []
        key_file, now = secrets_dir / KEY_FILE, timezone.now()
        if preview:
            steps = bootstrap.outlook(admin=_admin_name(), customers=customers, key_file=key_file, now=now)
            return Answer(document={"steps": steps}, lines=[f"{name:<16} {what}" for name, what in steps.items()])
        admin = self._admin()
        with self._step("trading days") as note:
            done = trading_days.sync(now=timezone.now())
            note.append(f"{done.added} added, {done.removed} removed, {done.kept} kept")
        account = self._exchange(customers, admin, credentials) if credentials is not None else self._real_broker()
        with self._step("API key") as note:
            fresh = bootstrap.ensure_key(path=key_file, admin=admin, account=account, now=timezone.now())
            note.append(f"{'issued' if fresh else 'kept'} in {key_file}")
        return Answer(document={"steps": self._done})

    def _admin(self) -> User:
        name, password = _admin_name(), os.environ.get("ADMIN_PASSWORD", "")
        if not password and not User.objects.filter(username=name).exists():
            raise CommandError("set ADMIN_PASSWORD for the first administrator")
        with self._step("administrator") as note:
            admin, made = bootstrap.ensure_admin(name=name, password=password)
            note.append(f"{admin.get_username()} {'made' if made else 'was there'}")
        return admin

    def _exchange(self, customers: Sequence[bootstrap.Customer], admin: User, credentials: Path) -> str:
        sessions = Sessions()
        for customer in customers:
            with self._step(customer.label) as note:
                account, written = bootstrap.ensure_account(customer=customer, now=timezone.now())
                logged_in = bootstrap.ensure_login(
                    account=account, customer=customer, admin=admin, sessions=sessions, now=timezone.now()
                )
                note.append(f"credential {'sealed' if written else 'kept'}")
                note.append("logged in" if logged_in else "token is live")
        self._market(sessions, credentials)
        return customers[0].label

    def _market(self, sessions: Sessions, credentials: Path) -> None:
        with self._step("instruments") as note:
            report = bootstrap.ensure_instruments(sessions=sessions, now=timezone.now())
            note.append(f"{report.read} read, {report.new} new" if report else "today's are loaded")
        with self._step("freeze quantities") as note:
            count = bootstrap.ensure_freezes(credentials_file=credentials, now=timezone.now())
            note.append("known" if count is None else f"{count} underlyings")
        with self._step("subscriptions") as note:
            counts = bootstrap.ensure_wishes(sessions=sessions, now=timezone.now())
            note.append(", ".join(f"{count} {mode}" for mode, count in counts.items()))

    def _real_broker(self) -> str:
        if not BrokerAccount.objects.exists():
            self.remark(NEXT.format(url=settings.PUBLIC_URL))
        return BrokerAccount.objects.order_by("label").values_list("label", flat=True).first() or ""

    @contextmanager
    def _step(self, name: str) -> Iterator[list[str]]:
        began = time.monotonic()
        note: list[str] = []
        yield note
        self._done[name] = ", ".join(note)
        self.remark(f"{name:<16} {self._done[name]:<48} {time.monotonic() - began:5.2f} s")


def _admin_name() -> str:
    return os.environ.get("ADMIN_USER", FIRST_NAME)
