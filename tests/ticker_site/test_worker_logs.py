"""What a worker writes down reaches the log at the level of the settings."""

import logging

import pytest
from celery.app.log import Logging

from ticker_site.celery import app


def test_a_worker_keeps_the_levels_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Logging, "_setup", False)
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", logging.INFO)
    handlers = list(root.handlers)

    app.log.setup(loglevel=logging.WARNING)

    assert root.level == logging.INFO
    assert root.handlers == handlers
