"""manage.py verify_audit: look for edits, deletions and cuts of the audit trail."""

import sys
import time
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.audit import head, read_heads, verify
from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.management.progress import Bar


class Command(OperatorCommand):
    """Reads only; ends with an error where anything is wrong."""

    help = "Verify the chain of the audit trail against itself and the exported heads."
    trial = Trial.NONE

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare where the heads were exported to."""
        parser.add_argument(
            "--heads", type=Path, default=Path(settings.AUDIT_HEADS_FILE), help="exported heads (%(default)s)"
        )

    def answer(self, *, heads: Path, **options: Any) -> Answer:
        """Verify."""
        started = time.monotonic()
        known, newest = read_heads(path=heads), head()
        count = newest.position if newest else 0
        bar = Bar(stream=sys.stderr, title="audit trail")
        faults = list(verify(heads=known, told=lambda at: bar.show(f"{at} of {count}", at / max(count, 1))))
        bar.close()
        for fault in faults:
            self.stderr.write(f"link {fault.position}, entry {fault.entry}: {fault.what}")
        return Answer(
            document={"entries": count, "heads": len(known), "faults": [asdict(fault) for fault in faults]},
            lines=[] if faults else [f"{count} entries and {len(known)} heads agree ({_since(started)})."],
            error=f"{len(faults)} faults: the audit trail was tampered with" if faults else "",
        )


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.1f} s"
