"""Every URL of the platform."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="desk")),
    path("", include("ops.urls")),
    path("", include("accounts.urls")),
    path("api/v1/", include("market_data.urls")),
    path("api/v1/", include("orders.urls")),
    path("api/v1/", include("greeks.urls")),
    path("api/v1/", include("portfolio.urls")),
    path("api/v1/schema", SpectacularAPIView.as_view(), name="schema"),
    path("admin/", admin.site.urls),
]
