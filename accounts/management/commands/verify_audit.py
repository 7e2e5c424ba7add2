"""manage.py verify_audit: look for edits, deletions and cuts of the audit trail."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.audit import head, read_heads, verify


class Command(BaseCommand):
    """Reads only; ends with an error where anything is wrong."""

    help = "Verify the chain of the audit trail against itself and the exported heads."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare where the heads were exported to."""
        parser.add_argument(
            "--heads", type=Path, default=Path(settings.AUDIT_HEADS_FILE), help="exported heads (%(default)s)"
        )

    def handle(self, *args: Any, heads: Path, **options: Any) -> None:
        """Verify."""
        started = time.monotonic()
        known = read_heads(path=heads)
        faults = 0
        for fault in verify(heads=known):
            faults += 1
            self.stderr.write(f"link {fault.position}, entry {fault.entry}: {fault.what}")
        if faults:
            raise CommandError(f"{faults} faults: the audit trail was tampered with")
        newest = head()
        count = newest.position if newest else 0
        self.stdout.write(f"{count} entries and {len(known)} heads agree ({time.monotonic() - started:.1f} s).")
