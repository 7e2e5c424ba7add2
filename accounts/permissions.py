"""Every view says which scope each method needs; a view that does not is closed."""

from typing import Any

from django.utils import timezone
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.errors import NotAuthenticated
from accounts.gate import sign_in_of
from accounts.queries import Principal
from accounts.sign_ins import require_fresh


class HasScope(BasePermission):
    """Lets through principals that hold `view.required_scopes[method]`.

    People are asked once more who they are for the methods of `view.stepped_up`; a program has nobody to ask.
    """

    code = "scope_missing"

    def __init__(self) -> None:
        self.message = "this view declares no scope for the method"

    def has_permission(self, request: Request, view: Any) -> bool:
        """Say whether the caller may use this method of this view."""
        principal = request.auth
        if not isinstance(principal, Principal):
            return False
        if request.method == "OPTIONS":
            return True
        scope = scope_of(view, request.method or "")
        if scope is None:
            return False
        self.message = f"the scope {scope} is missing"
        if not principal.may(scope):
            return False
        if request.method in getattr(view, "stepped_up", ()) and isinstance(
            request.successful_authenticator, SessionAuthentication
        ):
            require_fresh(sign_in_of(request._request), now=timezone.now())  # noqa: SLF001 (DRF's own way to it)
        return True


def scope_of(view: Any, method: str) -> str | None:
    """Return the scope a view declares for a method; HEAD asks for what GET asks."""
    declared: dict[str, str] = getattr(view, "required_scopes", {})
    return declared.get("GET" if method in SAFE_METHODS else method)


def caller_of(request: Request) -> Principal:
    """Return who is asking; raises NotAuthenticated where an API view let nobody in particular through."""
    if not isinstance(request.auth, Principal):
        raise NotAuthenticated("nobody known is asking")
    return request.auth
