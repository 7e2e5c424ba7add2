"""Registers the app."""

from django.apps import AppConfig


class PortfolioConfig(AppConfig):
    """What accounts hold, and what is asked about it."""

    name = "portfolio"
    default_auto_field = "django.db.models.BigAutoField"
