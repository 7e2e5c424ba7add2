"""Examines the installation."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand, Trial
from ops.checkup import examine
from ops.diagnosis import GREEN, RED, Diagnosis

MARKS = {"green": "●", "amber": "▲", "red": "■"}
EXAMPLES = """examples:
  manage.py doctor           what is looked at, a line each; what needs mending says how
  manage.py doctor --json    the same for a monitor

It ends with 1 while anything is red, and changes nothing."""


class Command(OperatorCommand):
    """Assembles one call of ops.checkup.examine."""

    help = "Look at everything the platform needs and say how to mend what is wrong."
    # It must speak where the checks or the database fail.
    requires_system_checks: list[str] = []
    trial = Trial.NONE
    examples = EXAMPLES

    def answer(self, **options: Any) -> Answer:
        """Look, and leave with a code that means something."""
        found = examine(now=timezone.now())
        red = sum(diagnosis.colour == RED for diagnosis in found)
        return Answer(
            document={"findings": [asdict(diagnosis) for diagnosis in found]},
            lines=[line for diagnosis in found for line in self._lines(diagnosis)],
            error=f"{red} of {len(found)} are red" if red else "",
        )

    def _lines(self, diagnosis: Diagnosis) -> Iterator[str]:
        styles = {"green": self.style.SUCCESS, "amber": self.style.WARNING, "red": self.style.ERROR}
        mark = styles[diagnosis.colour](f"{MARKS[diagnosis.colour]} {diagnosis.colour:<6}")
        yield f"{mark} {diagnosis.name:<18} {diagnosis.text}"
        if diagnosis.colour != GREEN and diagnosis.mend:
            yield f"{'':<8} {'':<18} → {diagnosis.mend}"
