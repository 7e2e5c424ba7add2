"""manage.py accounts: every account, its state and its login."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from accounts.models import BrokerAccount
from accounts.queries import current_credentials, open_halts
from accounts.serializers import AccountSerializer, AccountStatus


class Command(BaseCommand):
    """Reads only."""

    help = "List the broker accounts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the output for programs."""
        parser.add_argument("--json", action="store_true", help="one JSON document an account and line")

    def handle(self, *args: Any, **options: Any) -> None:
        """List."""
        now, halts = timezone.now(), open_halts()
        accounts = BrokerAccount.objects.select_related("group").order_by("label")
        held = current_credentials(accounts=accounts)
        rows = [AccountStatus(account, held.get(account.pk), now, halts) for account in accounts]
        for row in rows:
            self.stdout.write(json.dumps(AccountSerializer(row).data) if options["json"] else _line(row))
        if not options["json"]:
            live = sum(row.live for row in rows)
            self.stdout.write(f"{live} of {len(rows)} logged in")


def _line(row: AccountStatus) -> str:
    hours, minutes = divmod(row.seconds_left // 60, 60)
    login = f"{hours} h {minutes:02} min left" if row.live else "needs a login"
    version = f"v{row.credential.version}" if row.credential else "no credential"
    reason = f" ({row.account.state_reason})" if row.account.state_reason else ""
    halt = f", {row.halt.level} ({row.halt.reason})" if row.halt else ""
    state = f"{row.account.state}{reason}{halt}"
    return f"{row.account.label:<20} {row.account.broker_user_id:<10} {state}  {version}  {login}"
