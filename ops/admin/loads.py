"""The loads of instruments with the way to start one."""

from datetime import datetime

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action

from accounts.admin.deeds import Deed
from accounts.audit import record, required
from market_data.catalogue_admin import InstrumentSyncAdmin
from market_data.models import InstrumentSync
from ops import tasks

admin.site.unregister(InstrumentSync)


@admin.register(InstrumentSync)
class LoadsOnTheFloorAdmin(InstrumentSyncAdmin):
    """What each daily load changed, and one more when it is wanted."""

    actions_list = ("refresh",)

    @action(description="Load now", icon="sync", url_path="refresh", permissions=["operate"])
    def refresh(self, request: HttpRequest) -> HttpResponse:
        """Load the broker's instruments now."""
        deed = Deed(
            title="Load the instruments",
            explanation="A worker reads the broker's dump of today through an account that is logged in. Contracts "
            "that expired are retired; a dump that cannot be right changes nothing.",
            done="The instruments are being loaded; the report appears in this list.",
            act=start_load,
        )
        return self.perform_for_all(request, deed)


def start_load(_row: None, *, actor: str, reason: str, now: datetime) -> None:
    """Have a worker load the instruments and keep who asked, and why; raises QueueUnreachable, having kept nothing."""
    with transaction.atomic():
        record(actor=actor, action="ops.job.started", subject="instruments", reason=required(reason), now=now)
        tasks.start("instruments")
