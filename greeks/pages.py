"""The option-chain page inside the admin: a frame the browser fills over the chain socket and the API."""

from csp.decorators import csp
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.models import User
from accounts.page_policy import OWN_PAGE
from accounts.queries import principal_of

SCOPE = "greeks:read"
POSITIONS_SCOPE = "orders:read"
SOCKET_PATH = "/ws/v1/chains"


@csp(dict(OWN_PAGE))
@require_GET
def chains_page(request: HttpRequest) -> HttpResponseBase:
    """The page; staff with the right to read Greeks see it, and positions only with the right to read those."""
    return admin.site.admin_view(_page)(request)


def _page(request: HttpRequest) -> HttpResponse:
    principal = principal_of(request.user) if isinstance(request.user, User) else None
    if principal is None or not principal.may(SCOPE):
        return HttpResponse(f"the scope {SCOPE} is missing", status=403, content_type="text/plain")
    context = {"socket_path": SOCKET_PATH, "may_see_positions": principal.may(POSITIONS_SCOPE)}
    return render(request, "greeks/chains.html", context)
