"""Registers the app."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """Outgoing webhooks."""

    name = "webhooks"
    default_auto_field = "django.db.models.BigAutoField"
