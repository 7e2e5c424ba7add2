"""manage.py init_keyring: make the key ring that seals the broker secrets."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.errors import KeyRingError
from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.vault.keyfile import new_ring, read_ring, write_ring


class Command(OperatorCommand):
    """Never overwrites a ring: without its keys the stored secrets are lost."""

    help = "Make the key ring at VAULT_KEY_FILE."
    requires_system_checks: list[str] = []
    trial = Trial.SAID
    examples = """examples:
  manage.py init_keyring              once, before the first secret is stored
  manage.py init_keyring --dry-run    where it would be, and whether one is there"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the flag of the bootstrap."""
        parser.add_argument(
            "--if-missing",
            action="store_true",
            help="do nothing where a usable ring exists; production refuses a ring made this way",
        )

    def answer(self, *, if_missing: bool, preview: bool, **options: Any) -> Answer:
        """Write the ring."""
        path = Path(settings.VAULT_KEY_FILE)
        if if_missing and path.exists():
            return Answer(document={"file": str(path), "made": False, "key": read_ring(path=path).writing})
        if preview:
            if path.exists():
                raise KeyRingError(f"{path} exists: its keys open the stored secrets, so it is not overwritten")
            return Answer(document={"file": str(path), "made": True}, lines=[f"a new key ring in {path}"])
        ring = new_ring(now=timezone.now(), automatic=if_missing)
        write_ring(path=path, ring=ring, replace_existing=False)
        line = f"Made key {ring.writing} in {path}. Back it up apart from the database: both are needed."
        return Answer(document={"file": str(path), "made": True, "key": ring.writing}, lines=[line])
