"""The URLs the pages of accounts lead to."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("ops.urls")),
    path("", include("accounts.urls")),
    path("admin/", admin.site.urls),
]
