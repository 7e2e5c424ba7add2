"""The candles of one instrument, on a page of their own inside the admin."""

from csp.decorators import csp
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.page_policy import OWN_PAGE
from accounts.queries import Principal
from market_data.intervals import NAMES
from ops.panel import operator

SCOPE = "market:read"
FIRST = "NSE:NIFTY 50"


@csp(dict(OWN_PAGE))
@require_GET
@operator(SCOPE)
def candles(request: HttpRequest, *, principal: Principal) -> HttpResponseBase:
    """The page; candles come from the API of market data, a new look every few seconds."""
    context = {"socket_path": "", "intervals": NAMES, "instrument": request.GET.get("instrument", FIRST)}
    return render(request, "ops/candles.html", context)
