"""manage.py rotate_credentials LABEL: give an account a new API key and secret."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts import credentials
from accounts.management.operating import Answer, OperatorCommand
from accounts.models import BrokerAccount
from accounts.queries import current_credential


class Command(OperatorCommand):
    """The secret is asked for, or read as one line of standard input; arguments are visible to every process."""

    help = "Give an account a new API secret, and with --api-key a new key; its session goes on where the key stays."
    examples = """examples:
  manage.py rotate_credentials desk-1 --reason "seen in a screenshot"           asks for the new secret
  manage.py rotate_credentials desk-1 --api-key KEY --reason new < secret.txt   the secret as one line"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what may be seen by other processes."""
        parser.add_argument("label", help="the account")
        parser.add_argument("--api-key", help="default: the key stays, only its secret is new")
        parser.add_argument("--reason", required=True, help="kept in the audit trail")

    def answer(self, *, label: str, api_key: str | None, reason: str, **options: Any) -> Answer:
        """Rotate."""
        account = BrokerAccount.objects.filter(label=label).first()
        if account is None:
            raise CommandError(f"no account {label}")
        held = credentials.rotate(
            account_id=account.pk,
            api_key=api_key or _present_key(account),
            api_secret=_ask(f"API secret of {label}: "),
            actor=f"shell:{getpass.getuser()}",
            reason=reason,
            now=timezone.now(),
        )
        live = held.token_expires_at is not None
        state = "its session goes on" if live else "log it in now"
        return Answer(
            document={"account": label, "version": held.version, "key_ends": held.api_key_ends, "logged_in": live},
            lines=[f"{label} has version {held.version} with key …{held.api_key_ends}: {state}."],
        )


def _present_key(account: BrokerAccount) -> str:
    held = current_credential(account_id=account.pk)
    if held is None:
        raise CommandError(f"{account.label} has no API key yet: give --api-key")
    return held.api_key


def _ask(prompt: str) -> str:
    secret = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not secret.strip():
        raise CommandError("no API secret was given")
    return secret.strip()
