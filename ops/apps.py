"""Registers the app."""

from django.apps import AppConfig


class OpsConfig(AppConfig):
    """Control panel of the platform."""

    name = "ops"
    default_auto_field = "django.db.models.BigAutoField"
