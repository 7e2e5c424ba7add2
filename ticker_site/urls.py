"""Every URL of the platform."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from ticker_site.api_docs import DocsView, SchemaView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="desk")),
    path("", include("ops.urls")),
    path("", include("greeks.page_urls")),
    path("", include("accounts.urls")),
    path("api/v1/", include("market_data.urls")),
    path("api/v1/", include("orders.urls")),
    path("api/v1/", include("greeks.urls")),
    path("api/v1/", include("webhooks.urls")),
    path("api/v1/", include("portfolio.urls")),
    path("api/v1/schema", SchemaView.as_view(), name="schema"),
    path("api/v1/docs", DocsView.as_view(), name="api-docs"),
    path("admin/", admin.site.urls),
]

handler400 = "ticker_site.last_resort.bad_request"
handler403 = "ticker_site.last_resort.permission_denied"
handler404 = "ticker_site.last_resort.not_found"
handler500 = "ticker_site.last_resort.server_error"
