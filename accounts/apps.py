"""Registers the app and its check."""

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Tags, register

from accounts.vault import installed


class AccountsConfig(AppConfig):
    """Accounts of the desk and of the broker."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the check of the keys: in production before every command, elsewhere by `check --deploy`."""
        register(installed.check, Tags.security, deploy=not settings.PRODUCTION)
