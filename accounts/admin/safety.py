"""Admin pages of what guards people: requests for approval, sign-ins, second factors and wrong passwords."""

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from accounts import approvals, sign_ins
from accounts.admin.deeds import Deed, ScopedAdmin, person
from accounts.guards import Approval, RecoveryCode, SecondFactor, SignIn

STATES = {"waiting": "warning", "approved": "info", "done": "success", "declined": "danger", "expired": "danger"}

for model in (AccessAttempt, AccessFailureLog, AccessLog):
    admin.site.unregister(model)


@admin.register(Approval)
class ApprovalAdmin(ScopedAdmin):
    """The inbox: dangerous deeds that wait for a second person, and those that are over."""

    view_scope = "accounts:read"
    list_display = (
        "requested_at",
        "verb",
        "subject",
        "reason",
        "requested_by",
        "shown_state",
        "approved_by",
        "used_at",
    )
    list_filter = ("verb", "requested_at", "approved_at", "used_at")
    list_select_related = ("requested_by", "approved_by")
    search_fields = ("subject", "reason", "requested_by__username", "approved_by__username")
    ordering = ("-requested_at",)
    date_hierarchy = "requested_at"
    fields = (
        ("verb", "subject"),
        "detail",
        "reason",
        ("requested_by", "requested_at", "expires_at"),
        ("approved_by", "approved_at"),
        ("used_by", "used_at"),
        ("closed_by", "closed_at"),
    )
    actions_detail = ("approve", "decline")

    @display(description="state", label=STATES)
    def shown_state(self, asked: Approval) -> str:
        """How far it is, in colour."""
        return asked.state(now=timezone.now())

    @action(description="Approve", icon="how_to_reg", url_path="approve", permissions=["approve"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say yes as the second person."""
        by = person(request)
        deed = Deed(
            title="Approve",
            explanation="You say yes to what another person asked for; who asked can then do it once, within thirty "
            "minutes of asking, and exactly as it was asked for.",
            done="{} is approved.",
            act=lambda row, *, actor, reason, now: approvals.approve(
                approval_id=row.pk, by=by, comment=reason, now=now
            ),
            stepped_up=True,
        )
        return self.perform(request, object_id, deed)

    @action(description="Decline", icon="block", url_path="decline", permissions=["view"])
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say no, or take one's own request back."""
        by = person(request)
        deed = Deed(
            title="Decline",
            explanation="The request is closed and cannot be used any more.",
            done="{} is declined.",
            act=lambda row, *, actor, reason, now: approvals.decline(approval_id=row.pk, by=by, reason=reason, now=now),
            variant="danger",
        )
        return self.perform(request, object_id, deed)


@admin.register(SignIn)
class SignInAdmin(ScopedAdmin):
    """Who is at a browser, and who was."""

    view_scope = "accounts:write"
    list_display = ("user", "began_at", "seen_at", "address", "ended_at", "ended_for")
    list_filter = ("began_at", "ended_at", "user")
    list_select_related = ("user",)
    search_fields = ("user__username", "address", "browser")
    ordering = ("-began_at",)
    date_hierarchy = "began_at"
    actions_detail = ("end_session",)

    @action(description="End", icon="logout", url_path="end", permissions=["rotate"])
    def end_session(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Sign that browser out."""
        deed = Deed(
            title="End the session",
            explanation="The next request of that browser is nobody's.",
            done="{} has ended.",
            act=lambda row, **values: sign_ins.end(sign_in_id=row.pk, **values),
            variant="danger",
        )
        return self.perform(request, object_id, deed)


@admin.register(SecondFactor)
class SecondFactorAdmin(ScopedAdmin):
    """Whose app is in use, without its secret; it is reset from the person's page."""

    view_scope = "accounts:write"
    list_display = ("user", "confirmed_at", "failures", "locked_until")
    list_filter = ("confirmed_at", "locked_until")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    ordering = ("user__username",)
    date_hierarchy = "created_at"
    fields = ("user", "created_at", "confirmed_at", "failures", "locked_until")


@admin.register(RecoveryCode)
class RecoveryCodeAdmin(ScopedAdmin):
    """Codes that were issued and used, without what they are."""

    view_scope = "accounts:write"
    list_display = ("user", "created_at", "expires_at", "used_at")
    list_filter = ("used_at", "user")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    ordering = ("-created_at",)
    date_hierarchy = "created_at"
    fields = ("user", "created_at", "expires_at", "used_at")


@admin.register(AccessAttempt)
class WrongPasswordAdmin(ScopedAdmin):
    """Names that are locked at an address, or will be after some more wrong passwords."""

    view_scope = "accounts:write"
    list_display = ("attempt_time", "username", "ip_address", "failures_since_start", "user_agent")
    list_filter = ("attempt_time",)
    search_fields = ("username", "ip_address")
    ordering = ("-attempt_time",)
    date_hierarchy = "attempt_time"
    fields = list_display
    actions_detail = ("unlock",)

    @action(description="Unlock", icon="lock_open", url_path="unlock", permissions=["rotate"])
    def unlock(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the name try again."""
        deed = Deed(
            title="Unlock",
            explanation="The wrong passwords of this name at this address are forgotten.",
            done="{} may try again.",
            act=lambda row, **values: sign_ins.unlock(username=row.username, address=row.ip_address, **values),
            after="list",
            stepped_up=True,
        )
        return self.perform(request, object_id, deed)


@admin.register(AccessFailureLog)
class WrongPasswordLogAdmin(ScopedAdmin):
    """Every wrong password."""

    view_scope = "accounts:write"
    list_display = ("attempt_time", "username", "ip_address", "locked_out", "user_agent")
    list_filter = ("locked_out", "attempt_time")
    search_fields = ("username", "ip_address")
    ordering = ("-attempt_time",)
    date_hierarchy = "attempt_time"
    fields = list_display
