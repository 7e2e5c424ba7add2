"""URLs of the Desk and of the probes."""

from django.urls import path

from ops import panel, probes

urlpatterns = [
    path("admin/desk/", panel.desk, name="desk"),
    path("admin/desk/state", panel.state, name="desk-state"),
    path("admin/desk/verbs/<slug:name>", panel.verb, name="desk-verb"),
    path("healthz", probes.healthz, name="healthz"),
    path("metrics", probes.MetricsView.as_view(), name="metrics"),
    path("readyz", probes.readyz, name="readyz"),
]
