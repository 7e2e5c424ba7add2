"""Examines the installation."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from ops.checkup import GREEN, RED, Diagnosis, examine

MARKS = {"green": "●", "amber": "▲", "red": "■"}
HELP = """exit codes:
  0   nothing is red
  1   something is red

Each line is one thing looked at; what needs mending says how. It changes nothing."""


class Command(BaseCommand):
    """Assembles one call of ops.checkup.examine."""

    help = "Look at everything the platform needs and say how to mend what is wrong."
    # It must speak where the checks or the database fail.
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the line breaks of the help."""
        kwargs |= {"epilog": HELP, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose the form of the answer."""
        parser.add_argument("--json", action="store_true", help="answer in JSON")

    def handle(self, **options: Any) -> None:
        """Print the findings and leave with a code that means something."""
        found = examine(now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps([asdict(diagnosis) for diagnosis in found], indent=2))
        else:
            for diagnosis in found:
                self._write(diagnosis)
        if any(diagnosis.colour == RED for diagnosis in found):
            sys.exit(1)

    def _write(self, diagnosis: Diagnosis) -> None:
        styles = {"green": self.style.SUCCESS, "amber": self.style.WARNING, "red": self.style.ERROR}
        mark = styles[diagnosis.colour](f"{MARKS[diagnosis.colour]} {diagnosis.colour:<6}")
        self.stdout.write(f"{mark} {diagnosis.name:<18} {diagnosis.text}")
        if diagnosis.colour != GREEN and diagnosis.mend:
            self.stdout.write(f"{'':<8} {'':<18} → {diagnosis.mend}")
