"""manage.py one_time_code: let somebody without an authenticator app sign in once."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand
from accounts.models import User
from accounts.second_factor import SHELL_CODE_LASTS, issue_from_the_shell


class Command(OperatorCommand):
    """Prints the code alone to standard output; it counts once, within ten minutes."""

    help = "Print a code that stands in for the second factor of one sign-in within ten minutes; it is audited."
    examples = """examples:
  manage.py one_time_code asha --reason "telephone lost"    then sign in with it and enrol anew"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare for whom and why."""
        parser.add_argument("username", help="who has no app at hand")
        parser.add_argument("--reason", required=True, help="kept in the audit trail")

    def answer(self, *, username: str, reason: str, preview: bool, **options: Any) -> Answer:
        """Issue the code."""
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"no active user {username}")
        actor = f"{getpass.getuser()} (shell)"
        code = issue_from_the_shell(user=user, actor=actor, reason=reason, now=timezone.now())
        document = {"user": username, "lasts_seconds": SHELL_CODE_LASTS.total_seconds()}
        if preview:
            return Answer(document=document, lines=[f"a code for one sign-in of {username}"])
        return Answer(document={**document, "code": code}, lines=[code])
