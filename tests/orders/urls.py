"""The orders API alone, where a test needs nothing else."""

from django.urls import include, path

urlpatterns = [path("api/v1/", include("orders.urls"))]
