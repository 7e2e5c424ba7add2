"""Loads the Celery application into every process, so that a task knows its broker."""

from django.apps import AppConfig

from ticker_site.celery import app


class TickerSiteConfig(AppConfig):
    """Composition of the platform."""

    name = "ticker_site"
    celery = app
