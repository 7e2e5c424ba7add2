"""manage.py init_keyring: make the key ring that seals the broker secrets."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.errors import KeyRingError
from accounts.vault.keyfile import new_ring, read_ring, write_ring


class Command(BaseCommand):
    """Never overwrites a ring: without its keys the stored secrets are lost."""

    help = "Make the key ring at VAULT_KEY_FILE."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the flag of the bootstrap."""
        parser.add_argument(
            "--if-missing",
            action="store_true",
            help="do nothing where a usable ring exists; production refuses a ring made this way",
        )

    def handle(self, *args: Any, if_missing: bool, **options: Any) -> None:
        """Write the ring."""
        path = Path(settings.VAULT_KEY_FILE)
        try:
            if if_missing and path.exists():
                read_ring(path=path)
                return
            ring = new_ring(now=timezone.now(), automatic=if_missing)
            write_ring(path=path, ring=ring, replace_existing=False)
        except KeyRingError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Made key {ring.writing} in {path}. Back it up apart from the database: both are needed.")
