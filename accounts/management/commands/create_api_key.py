"""manage.py create_api_key: issue an API key to a user."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.authentication import LONGEST_LIFE, issue_api_key
from accounts.errors import PlatformError
from accounts.models import BrokerAccount, User
from accounts.queries import EVERY_SCOPE


class Command(BaseCommand):
    """Prints the key alone to standard output, once; it cannot be shown again."""

    help = "Issue an API key for a program and print it once; it is stored as a digest and cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare whom the key is for and what it may do."""
        parser.add_argument("username", help="whose rights bound what the key may do")
        parser.add_argument("name", help="what the key is for")
        scopes = sorted(EVERY_SCOPE)
        parser.add_argument(
            "--scope", action="append", choices=scopes, required=True, dest="scopes", help="one right; may be repeated"
        )
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--account", action="append", metavar="LABEL", dest="labels", help="may be repeated")
        which.add_argument("--every-account", action="store_true", help="accounts of later days too")
        parser.add_argument("--days", type=int, default=LONGEST_LIFE.days, help="until it expires (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue the key."""
        now = timezone.now()
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"no user {options['username']}")
        try:
            key, text = issue_api_key(
                user=user,
                name=options["name"],
                scopes=options["scopes"],
                accounts=_accounts(options["labels"]),
                expires_at=now + timedelta(days=options["days"]),
                now=now,
            )
        except PlatformError as error:
            raise CommandError(str(error)) from error
        self.stderr.write(
            f"Key {key.prefix} of {user.username}, until {key.expires_at:%Y-%m-%d}; it is shown this once:"
        )
        self.stdout.write(text)


def _accounts(labels: list[str] | None) -> list[BrokerAccount] | None:
    if labels is None:
        return None
    found = list(BrokerAccount.objects.filter(label__in=labels))
    if missing := set(labels) - {account.label for account in found}:
        raise CommandError(f"no account {', '.join(sorted(missing))}")
    return found
