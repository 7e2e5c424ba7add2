"""The pages of signing in: password, second factor, and once more before a dangerous deed."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import segno
from axes.models import AccessFailureLog
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from unfold.forms import AuthenticationForm

from accounts import second_factor, sign_ins
from accounts.errors import PlatformError, SecondFactorWrong
from accounts.gate import sign_in_of
from accounts.guards import SignIn
from accounts.models import User
from accounts.sign_in_forms import CodeForm, ConfirmForm

BACKEND = "django.contrib.auth.backends.ModelBackend"
PENDING = "password_given_by"
PENDING_AT = "password_given_at"
PENDING_LASTS = timedelta(minutes=10)
HOME = "desk"
ADDRESS_WINDOW = timedelta(hours=1)
QR_SCALE = 5


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Ask for name and password; nobody is signed in before the second factor."""
    now = timezone.now()
    if sign_in_of(request) is not None:
        return redirect(_next(request))
    if request.method == "POST" and _address_is_locked(request, now=now):
        return locked_out(request)
    form = AuthenticationForm(request, data=request.POST or None)
    if request.method == "POST" and form.is_valid():
        request.session.flush()
        request.session[PENDING] = form.get_user().pk
        request.session[PENDING_AT] = now.timestamp()
        return redirect(f"{reverse('second-factor')}?{_query(request)}")
    return _page(request, "admin/login.html", {"form": form, "title": "Sign in"})


def locked_out(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """Say that there were too many wrong passwords; known and unknown names read the same."""
    form = AuthenticationForm(request)
    text = f"Too many wrong passwords: try again in {settings.AXES_COOLOFF_TIME.seconds // 60} minutes."
    messages.error(request, f"{text} Halting works meanwhile, with an API key or the command line.")
    return _page(request, "admin/login.html", {"form": form, "title": "Sign in"}, status=429)


@never_cache
@require_http_methods(["GET", "POST"])
def give_second_factor(request: HttpRequest) -> HttpResponse:
    """Ask for a code; without an app in use, show the picture that sets one up."""
    now = timezone.now()
    user = _pending(request, now=now)
    if user is None:
        return redirect(f"{reverse('admin:login')}?{_query(request)}")
    enrolled = second_factor.factor_of(user) is not None
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            codes = _check(user, form.cleaned_data["code"], enrolled=enrolled, now=now)
        except PlatformError as error:
            form.add_error("code", str(error))
        else:
            return _enter(request, user, codes, now=now)
    picture = {} if enrolled else _picture(user, now=now)
    return _page(request, "accounts/second_factor.html", {"form": form, "title": "Second factor", **picture})


@never_cache
@require_http_methods(["GET", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """Ask once more who is there; answers JSON to the Desk's dialog."""
    held = sign_in_of(request)
    if held is None:
        return redirect(f"{reverse('admin:login')}?{_query(request)}")
    form = ConfirmForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            _prove(request, held, form.cleaned_data, now=timezone.now())
        except PlatformError as error:
            form.add_error(None, str(error))
        else:
            # A right was won: the session gets another key.
            request.session.cycle_key()
            return JsonResponse({"done": "confirmed"}) if _wants_json(request) else redirect(_next(request))
    if request.method == "POST" and _wants_json(request):
        return JsonResponse({"code": "second_factor_wrong", "detail": _first_error(form)}, status=403)
    return _page(request, "accounts/confirm.html", {"form": form, "title": "Confirm that it is you"})


@never_cache
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the sign-in and forget the session."""
    held = sign_in_of(request)
    if held is not None:
        name = held.user.get_username()
        sign_ins.end(sign_in_id=held.pk, actor=name, reason="signed out", now=timezone.now())
    logout(request)
    return redirect("admin:login")


def _check(user: User, code: str, *, enrolled: bool, now: datetime) -> list[str]:
    """Return the recovery codes of an app that was set up with this code, else nothing."""
    if not enrolled and code.strip().isdecimal():
        return second_factor.confirm(user=user, code=code, now=now)
    second_factor.verify(user=user, code=code, now=now)
    return []


def _enter(request: HttpRequest, user: User, codes: list[str], *, now: datetime) -> HttpResponse:
    onward = _next(request)
    login(request, user, backend=BACKEND)
    held = sign_ins.begin(
        user=user,
        address=request.META.get("REMOTE_ADDR") or None,
        browser=request.headers.get("User-Agent", ""),
        now=now,
    )
    request.session.pop(PENDING, None)
    request.session[sign_ins.MARK] = str(held.pk)
    if not codes:
        return redirect(onward)
    context = {"title": "Recovery codes", "codes": codes, "onward": onward}
    return _page(request, "accounts/recovery_codes.html", context)


def _prove(request: HttpRequest, held: SignIn, given: Mapping[str, Any], *, now: datetime) -> None:
    if given["code"]:
        second_factor.verify(user=held.user, code=given["code"], now=now)
    elif authenticate(request, username=held.user.get_username(), password=given["password"]) != held.user:
        raise SecondFactorWrong("this is not your password", field="password")
    sign_ins.step_up(held=held, now=now)


def _pending(request: HttpRequest, *, now: datetime) -> User | None:
    given_at = request.session.get(PENDING_AT, 0)
    if now.timestamp() - given_at > PENDING_LASTS.total_seconds():
        return None
    return User.objects.filter(pk=request.session.get(PENDING, 0), is_active=True, is_staff=True).first()


def _picture(user: User, *, now: datetime) -> dict[str, object]:
    factor = second_factor.enrolment_of(user=user, now=now)
    code = segno.make(second_factor.address_of(factor, user=user), error="m")
    secret = factor.secret.reveal()
    return {
        "picture": code.svg_inline(scale=QR_SCALE, border=3, light="#fff", title="Picture for an authenticator app"),
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "username": user.get_username(),
    }


def _address_is_locked(request: HttpRequest, *, now: datetime) -> bool:
    failed = AccessFailureLog.objects.filter(
        ip_address=request.META.get("REMOTE_ADDR"), attempt_time__gt=now - ADDRESS_WINDOW
    )
    return bool(failed.count() >= settings.SIGN_IN_FAILURES_PER_ADDRESS)


def _page(request: HttpRequest, template: str, context: Mapping[str, object], *, status: int = 200) -> HttpResponse:
    shown = {**admin.site.each_context(request), "app_path": request.get_full_path(), **context}
    return render(request, template, shown, status=status)


def _next(request: HttpRequest) -> str:
    wanted = request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return wanted
    return reverse(HOME)


def _query(request: HttpRequest) -> str:
    kept = request.GET.copy()
    return kept.urlencode(safe="/")


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "") == "application/json"


def _first_error(form: ConfirmForm) -> str:
    return next((str(text) for texts in form.errors.values() for text in texts), "enter a code or your password")
