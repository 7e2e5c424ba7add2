"""The Celery application of the workers and of beat."""

import os

# The first to import Twisted chooses its reactor; Daphne must, before the broker's library does.
import daphne.server  # noqa: F401

from accounts.worker import Worker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticker_site.settings")

app = Worker("ticker_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
