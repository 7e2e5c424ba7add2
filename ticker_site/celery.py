"""The Celery application of the workers and of beat."""

import os

from accounts.worker import Worker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticker_site.settings")

app = Worker("ticker_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
