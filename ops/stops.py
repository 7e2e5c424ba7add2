"""What a halt took along with it, and how far that is; `ops.models` loads it."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import TradingHalt


class HaltReport(models.Model):
    """The taking back of orders and closing of positions under one halt, from the wish to what the broker shows."""

    class State(models.TextChoices):
        """Whether it is at work, done as the broker shows, or out of time."""

        RUNNING = "running"
        DONE = "done"
        GIVEN_UP = "given_up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    halt = models.OneToOneField(TradingHalt, on_delete=models.PROTECT, related_name="+")
    flatten = models.BooleanField(default=False)
    # Closing orders leave only under REDUCING; what was wanted comes into force when nothing is left.
    level_after = models.CharField(max_length=10, choices=TradingHalt.Level)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    asked_by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    looked_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    looks = models.PositiveIntegerField(default=0)
    cancels = models.PositiveIntegerField(default=0)
    closings = models.PositiveIntegerField(default=0)
    left = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(state="running") ^ Q(finished_at__isnull=False), name="halt_report_ends_with_its_work"
            ),
            models.CheckConstraint(condition=~Q(state="done") | Q(left={}), name="halt_report_done_leaves_nothing"),
        ]

    def __str__(self) -> str:
        return f"{self.state} since {self.started_at:%H:%M:%S}"
