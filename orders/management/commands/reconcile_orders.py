"""Reads the accounts' order books and trades now and takes them in."""

import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from accounts.errors import PlatformError
from accounts.management.operating import Answer, OperatorCommand
from accounts.management.progress import Bar
from accounts.models import BrokerAccount
from accounts.sessions import Sessions
from kite.errors import KiteError
from orders.clock import DatabaseClock
from orders.queries import accounts_to_reconcile
from orders.reconciliation import Report, reconcile_account


class Command(OperatorCommand):
    """Assembles one reading of each account."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--account", help="label of one account; without it every account that trades")

    def answer(self, *, account: str | None, **options: Any) -> Answer:
        """Read, say what changed, and fail where a book could not be read."""
        sessions, clock = Sessions(), DatabaseClock()
        reports: list[Report] = []
        failures: dict[str, str] = {}
        bar = Bar(stream=sys.stderr, title="order books")
        chosen = _accounts(account)
        for number, row in enumerate(chosen, 1):
            try:
                reports.append(reconcile_account(account_id=row.pk, sessions=sessions, clock=clock))
            except (KiteError, PlatformError) as error:
                failures[row.label] = str(error)
            bar.show(row.label, number / len(chosen))
        bar.close()
        for label, reason in failures.items():
            self.stderr.write(f"{label}: {reason}")
        return Answer(
            document={"reports": [asdict(report) for report in reports], "failures": failures},
            lines=[_line(report) for report in reports],
            error=f"{len(failures)} order books could not be read" if failures else "",
        )


def _line(report: Report) -> str:
    parts = ", ".join(f"{name} {value}" for name, value in asdict(report).items() if name != "account")
    return f"{report.account}: {parts}"


def _accounts(label: str | None) -> list[BrokerAccount]:
    accounts = accounts_to_reconcile()
    if label is None:
        return accounts
    chosen = [account for account in accounts if account.label == label]
    if not chosen:
        raise CommandError(f"no trading account {label}")
    return chosen
