"""Registers the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Accounts of the desk and of the broker."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"
