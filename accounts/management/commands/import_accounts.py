"""manage.py import_accounts: bring the accounts of the former platform over from a dump of its table."""

import getpass
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts import importing
from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.vault import legacy

EXAMPLES = """the dump, one of:
  psql -c "\\copy trading_accounts TO 'dump.csv' CSV HEADER"    secrets are Fernet tokens
  psql -c "\\copy kite_accounts TO 'dump.csv' CSV HEADER"       secrets are AES-GCM under 64 hex characters
  psql -Atc "SELECT row_to_json(t) FROM trading_accounts t" > dump.json

then:
  manage.py import_accounts dump.csv --scheme fernet --key-file old.key --dry-run
  manage.py import_accounts dump.csv --scheme fernet --key-file old.key --execute
  manage.py import_accounts dump.csv --scheme fernet --key-file old.key --verify
  shred -u dump.csv old.key"""


class Command(OperatorCommand):
    """Assembles one call of accounts.importing."""

    help = "Bring the accounts of the former platform over: keys and secrets, sealed anew. All rows or none."
    trial = Trial.SAID
    examples = EXAMPLES

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the dump, how its secrets are stored, and what to do."""
        parser.add_argument("dump", type=Path, help="JSON, JSON lines or CSV with a header")
        parser.add_argument("--scheme", choices=legacy.SCHEMES, required=True, help="how the dump's secrets are stored")
        parser.add_argument("--key-file", type=Path, help="holds the old key; without it the key is asked for")
        parser.add_argument(
            "--also-sealed",
            action="append",
            default=[],
            metavar="COLUMN",
            help="another column under the same scheme, e.g. username",
        )
        way = parser.add_mutually_exclusive_group(required=True)
        way.add_argument(
            "--dry-run", dest="preview", action="store_true", help="open and check everything, write nothing"
        )
        way.add_argument("--execute", action="store_true", help="bring all accounts over in one transaction")
        way.add_argument("--verify", action="store_true", help="compare the dump with what is stored")

    def add_trial(self, parser: CommandParser) -> None:
        """Leave --dry-run to the ways above: one of them has to be named."""

    def answer(self, *, verify: bool, execute: bool, **options: Any) -> Answer:
        """Do it."""
        dump = self._dump(options)
        document: dict[str, Any] = {"accounts": len(dump.accounts), "left_behind": list(dump.left_behind)}
        if verify:
            self._refuse([*dump.troubles, *importing.verify(dump=dump)])
            return Answer(document=document, lines=[f"{len(dump.accounts)} accounts are stored as the dump has them."])
        self._refuse([*dump.troubles, *importing.clashes(dump=dump)])
        lines = _lines(dump)
        if execute:
            done = importing.execute(dump=dump, actor=f"shell:{getpass.getuser()}", now=timezone.now())
            document |= {"new": done["new"], "here_already": done["here already"]}
            lines.append(f"{done['new']} accounts brought over, {done['here already']} were here already.")
        return Answer(document=document, lines=lines)

    def _dump(self, options: dict[str, Any]) -> importing.Dump:
        try:
            text = options["dump"].read_text(encoding="utf-8-sig")
            key = _key(options) if legacy.needs_key(scheme=options["scheme"]) else ""
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from error
        reader = legacy.reader(scheme=options["scheme"], key=key)
        return importing.read(text=text, reader=reader, sealed=options["also_sealed"])

    def _refuse(self, troubles: Sequence[importing.Trouble]) -> None:
        for trouble in troubles:
            self.stderr.write(f"row {trouble.row}, {trouble.field}: {trouble.what}")
        if troubles:
            raise CommandError(f"{len(troubles)} things are wrong; nothing was written")


def _lines(dump: importing.Dump) -> list[str]:
    lines = []
    for account in dump.accounts:
        uses = "" if account.streams_data else ", orders only"
        state = "" if account.active else ", cordoned"
        lines.append(f"{account.label:<20} {account.broker_user_id:<10} key …{account.api_key[-4:]}{uses}{state}")
    if dump.left_behind:
        lines.append(f"Stays behind: {', '.join(dump.left_behind)}. People log in at the broker's page.")
    return lines


def _key(options: dict[str, Any]) -> str:
    if options["key_file"] is not None:
        return str(options["key_file"].read_text())
    if not sys.stdin.isatty():
        raise CommandError("name the old key's file with --key-file: there is nobody to ask")
    return getpass.getpass(f"The old {options['scheme']} key: ")
