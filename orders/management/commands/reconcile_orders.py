"""Reads the accounts' order books and trades now and takes them in."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.errors import PlatformError
from accounts.models import BrokerAccount
from accounts.sessions import Sessions
from kite.errors import KiteError
from orders.clock import DatabaseClock
from orders.queries import accounts_to_reconcile
from orders.reconciliation import Report, reconcile_account


class Command(BaseCommand):
    """reconcile_orders [--account LABEL] [--json]."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--account", help="label of one account; without it every account that trades")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *_: Any, account: str | None, json: bool, **__: Any) -> None:
        """Read, print what changed, and fail where a book could not be read."""
        sessions, clock = Sessions(), DatabaseClock()
        reports: list[Report] = []
        failures: dict[str, str] = {}
        for row in _accounts(account):
            try:
                reports.append(reconcile_account(account_id=row.pk, sessions=sessions, clock=clock))
            except (KiteError, PlatformError) as error:
                failures[row.label] = str(error)
        self._print(reports, failures, as_json=json)
        if failures:
            raise CommandError(f"{len(failures)} order books could not be read")

    def _print(self, reports: list[Report], failures: dict[str, str], *, as_json: bool) -> None:
        if as_json:
            document = {"reports": [asdict(report) for report in reports], "failures": failures}
            self.stdout.write(json.dumps(document, indent=2))
            return
        for report in reports:
            parts = ", ".join(f"{name} {value}" for name, value in asdict(report).items() if name != "account")
            self.stdout.write(f"{report.account}: {parts}")
        for label, reason in failures.items():
            self.stderr.write(f"{label}: {reason}")


def _accounts(label: str | None) -> list[BrokerAccount]:
    accounts = accounts_to_reconcile()
    if label is None:
        return accounts
    chosen = [account for account in accounts if account.label == label]
    if not chosen:
        raise CommandError(f"no trading account {label}")
    return chosen
