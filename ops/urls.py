"""URLs of the Desk and of the probes."""

from django.urls import path

from ops import candle_page, job_views, panel, probes, views

urlpatterns = [
    path("admin/desk/", panel.desk, name="desk"),
    path("admin/desk/state", panel.state, name="desk-state"),
    path("admin/desk/verbs/<slug:name>", panel.verb, name="desk-verb"),
    path("admin/candles/", candle_page.candles, name="candles-page"),
    path("api/v1/halts", views.HaltsView.as_view(), name="halts"),
    path("api/v1/halts/<int:halt_id>/release", views.ReleaseView.as_view(), name="halt-release"),
    path("api/v1/halts/<int:halt_id>/clearing", views.ClearingView.as_view(), name="halt-clearing"),
    path("api/v1/jobs/<slug:name>", job_views.JobView.as_view(), name="job"),
    path("api/v1/status", job_views.StatusView.as_view(), name="status"),
    path("healthz", probes.healthz, name="healthz"),
    path("metrics", probes.MetricsView.as_view(), name="metrics"),
    path("readyz", probes.readyz, name="readyz"),
]
