"""Admin pages of the periodic tasks, in the clothes of the rest."""

from typing import Any

from celery import current_app
from django.contrib import admin
from django.db import transaction
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django_celery_beat import admin as beat
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from kombu.utils.json import loads
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.admin.deeds import Deed
from accounts.admin.editing import EditableAdmin, ReasonedForm
from accounts.audit import record, required
from ops.errors import TargetUnknown

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


class TaskSelectWidget(UnfoldAdminSelectWidget, beat.TaskSelectWidget):
    """A list of the registered tasks."""


class PeriodicTaskForm(ReasonedForm, beat.PeriodicTaskForm):
    """The form of a periodic task with the house's widgets, and why."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        form: Form = self
        form.fields["task"].widget = UnfoldAdminTextInputWidget()
        form.fields["regtask"].widget = TaskSelectWidget()


def run_now(*, task: PeriodicTask, actor: str, reason: str, now: Any) -> None:
    """Send a periodic task once, besides its schedule."""
    known = current_app.tasks.get(task.task)
    if known is None:
        raise TargetUnknown(f"no worker knows {task.task}", field="task")
    with transaction.atomic():
        record(
            actor=actor,
            action="ops.task.run",
            subject=f"task:{task.name}"[:120],
            reason=required(reason)[:200],
            detail={"task": task.task},
            now=now,
        )
        signature = known.signature(loads(task.args or "[]"), loads(task.kwargs or "{}"))
        transaction.on_commit(lambda: signature.apply_async(queue=task.queue))


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat.PeriodicTaskAdmin, EditableAdmin):
    """What beat runs and when it ran last."""

    list_select_related = ("interval", "crontab", "solar", "clocked")
    ordering = ("name",)

    view_scope = "ops:read"
    form = PeriodicTaskForm
    # The library's own form carries an inline script, which the site's policy forbids.
    change_form_template = None
    list_filter = ("enabled", "one_off", "last_run_at")
    date_hierarchy = "last_run_at"
    # The library's switch and run many tasks at once, and ask nobody why.
    actions = ()
    actions_detail = ("run",)

    @action(description="Run now", icon="play_arrow", url_path="run", permissions=["operate"])
    def run(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send the task once."""
        deed = Deed(
            title="Run now",
            explanation="The task is sent once, besides its schedule: instruments are loaded, books are reconciled, or "
            "whatever it does.",
            done="{} was sent.",
            act=lambda row, **values: run_now(task=row, **values),
            stepped_up=True,
        )
        return self.perform(request, object_id, deed)


class ScheduleAdmin(EditableAdmin):
    """A schedule that tasks refer to."""

    view_scope = "ops:read"


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ScheduleAdmin):
    """Every so many seconds."""

    list_display = ("__str__", "every", "period")
    list_filter = ("period",)
    search_fields = ("every", "period")
    ordering = ("period", "every")


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(beat.CrontabScheduleAdmin, ScheduleAdmin):
    """At times of the day."""

    list_filter = ("timezone",)
    search_fields = ("hour", "minute", "day_of_week")
    ordering = ("hour", "minute")


@admin.register(SolarSchedule)
class SolarScheduleAdmin(ScheduleAdmin):
    """At sunrise and the like."""

    list_display = ("__str__", "event", "latitude", "longitude")
    list_filter = ("event",)
    search_fields = ("event",)
    ordering = ("event",)


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(beat.ClockedScheduleAdmin, ScheduleAdmin):
    """Once, at a moment."""

    list_filter = ("clocked_time",)
    search_fields = ("clocked_time",)
    ordering = ("-clocked_time",)
    date_hierarchy = "clocked_time"
