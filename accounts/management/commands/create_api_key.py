"""manage.py create_api_key: issue an API key to a user."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.authentication import LONGEST_LIFE, issue_api_key
from accounts.management.operating import Answer, OperatorCommand
from accounts.models import BrokerAccount, User
from accounts.queries import EVERY_SCOPE


class Command(OperatorCommand):
    """Prints the key alone to standard output, once; it cannot be shown again."""

    help = "Issue an API key for a program and print it once; it is stored as a digest and cannot be shown again."
    examples = """examples:
  manage.py create_api_key admin prometheus --scope ops:read --every-account
  manage.py create_api_key asha momentum --scope market:read --scope orders:write --account desk-1 --days 30"""

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

    def answer(self, *, username: str, preview: bool, **options: Any) -> Answer:
        """Issue the key."""
        now = timezone.now()
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"no user {username}")
        key, text = issue_api_key(
            user=user,
            name=options["name"],
            scopes=options["scopes"],
            accounts=_accounts(options["labels"]),
            expires_at=now + timedelta(days=options["days"]),
            now=now,
        )
        document = {"user": user.username, "name": key.name, "scopes": key.scopes, "expires_at": key.expires_at}
        if preview:
            line = f"a key of {user.username} for {key.name}, until {key.expires_at:%Y-%m-%d}"
            return Answer(document=document, lines=[line])
        self.stderr.write(
            f"Key {key.prefix} of {user.username}, until {key.expires_at:%Y-%m-%d}; it is shown this once:"
        )
        return Answer(document={**document, "prefix": key.prefix, "key": text}, lines=[text])


def _accounts(labels: list[str] | None) -> list[BrokerAccount] | None:
    if labels is None:
        return None
    found = list(BrokerAccount.objects.filter(label__in=labels))
    if missing := set(labels) - {account.label for account in found}:
        raise CommandError(f"no account {', '.join(sorted(missing))}")
    return found
