"""manage.py one_time_code: let somebody without an authenticator app sign in once."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.errors import PlatformError
from accounts.models import User
from accounts.second_factor import issue_from_the_shell


class Command(BaseCommand):
    """Prints the code alone to standard output; it counts once, within ten minutes."""

    help = "Print a code that stands in for the second factor of one sign-in within ten minutes; it is audited."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare for whom and why."""
        parser.add_argument("username", help="who has no app at hand")
        parser.add_argument("--reason", required=True, help="kept in the audit trail")

    def handle(self, *args: Any, username: str, reason: str, **options: Any) -> None:
        """Issue the code."""
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"no active user {username}")
        actor = f"{getpass.getuser()} (shell)"
        try:
            code = issue_from_the_shell(user=user, actor=actor, reason=reason, now=timezone.now())
        except PlatformError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(code)
