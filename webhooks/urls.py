"""URLs of the webhooks API, below /api/v1/."""

from django.urls import path

from webhooks import views

urlpatterns = [
    path("webhooks", views.EndpointListView.as_view(), name="webhooks"),
    path("webhooks/deliveries", views.DeliveryListView.as_view(), name="webhook-deliveries"),
    path("webhooks/deliveries/<uuid:delivery_id>", views.DeliveryView.as_view(), name="webhook-delivery"),
    path("webhooks/deliveries/<uuid:delivery_id>/replay", views.ReplayView.as_view(), name="webhook-replay"),
    path("webhooks/<uuid:endpoint_id>", views.EndpointView.as_view(), name="webhook"),
    path("webhooks/<uuid:endpoint_id>/secret", views.SecretView.as_view(), name="webhook-secret"),
    path("webhooks/<uuid:endpoint_id>/test", views.TestView.as_view(), name="webhook-test"),
]
