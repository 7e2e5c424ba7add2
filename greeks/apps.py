"""Registers the app."""

from django.apps import AppConfig


class GreeksConfig(AppConfig):
    """Greeks."""

    name = "greeks"
    default_auto_field = "django.db.models.BigAutoField"
