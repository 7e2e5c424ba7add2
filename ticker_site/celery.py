"""The Celery application of the workers and of beat."""

import os

# The first to import Twisted chooses its reactor; Daphne must, before the broker's library does.
import daphne.server  # noqa: F401
from celery import bootsteps
from celery.signals import setup_logging

from accounts.vault import installed
from accounts.worker import Worker


class KeysFirst(bootsteps.Step):
    """Ends a production worker at its start where it could open no secret."""

    def __init__(self, parent: object, **_: object) -> None:
        installed.require()


def keep_the_logs(**_: object) -> None:
    """Leave the settings' levels in force: a worker's own would drop every fact of business it writes down."""


setup_logging.connect(keep_the_logs)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticker_site.settings")

app = Worker("ticker_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["orders"], related_name="parent_tasks")
app.steps["worker"].add(KeysFirst)
