"""Registers the app."""

from django.apps import AppConfig


class MarketDataConfig(AppConfig):
    """Market data."""

    name = "market_data"
    verbose_name = "Market data"
    default_auto_field = "django.db.models.BigAutoField"
