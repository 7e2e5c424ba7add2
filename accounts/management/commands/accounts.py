"""manage.py accounts: every account, its state and its login."""

from typing import Any

from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.models import BrokerAccount
from accounts.queries import current_credentials, open_halts
from accounts.serializers import AccountSerializer, AccountStatus


class Command(OperatorCommand):
    """Reads only."""

    help = "List the broker accounts with their state, their halt and how long their login lasts."
    trial = Trial.NONE

    def answer(self, **options: Any) -> Answer:
        """List."""
        now, halts = timezone.now(), open_halts()
        accounts = BrokerAccount.objects.select_related("group").order_by("label")
        held = current_credentials(accounts=accounts)
        rows = [AccountStatus(account, held.get(account.pk), now, halts) for account in accounts]
        live = sum(row.live for row in rows)
        return Answer(
            document={"accounts": [AccountSerializer(row).data for row in rows], "live": live},
            lines=[*map(_line, rows), f"{live} of {len(rows)} logged in"],
        )


def _line(row: AccountStatus) -> str:
    hours, minutes = divmod(row.seconds_left // 60, 60)
    login = f"{hours} h {minutes:02} min left" if row.live else "needs a login"
    version = f"v{row.credential.version}" if row.credential else "no credential"
    reason = f" ({row.account.state_reason})" if row.account.state_reason else ""
    halt = f", {row.halt.level} ({row.halt.reason})" if row.halt else ""
    state = f"{row.account.state}{reason}{halt}"
    return f"{row.account.label:<20} {row.account.broker_user_id:<10} {state}  {version}  {login}"
