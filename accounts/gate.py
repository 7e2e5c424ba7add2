"""Lets a session count only while its sign-in stands."""

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.http import HttpRequest
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from accounts.guards import SignIn
from accounts.sign_ins import standing


class SignInGate(MiddlewareMixin):
    """Ends sessions that idled, grew old, were ended or never gave a second factor; sets `request.sign_in`."""

    def process_request(self, request: HttpRequest) -> None:
        """Look the sign-in of a browser up; programs bring no cookie and pass."""
        request.sign_in = None  # type: ignore[attr-defined] # read by sign_in_of
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or SESSION_KEY not in request.session:
            return
        held = standing(session=request.session, now=timezone.now())
        if held is None:
            logout(request)
        request.sign_in = held  # type: ignore[attr-defined]


def sign_in_of(request: HttpRequest) -> SignIn | None:
    """Return the sign-in behind a browser's request; None for a program and for nobody."""
    held: SignIn | None = getattr(request, "sign_in", None)
    return held
