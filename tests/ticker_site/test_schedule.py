"""How often the live chains are computed is a setting with bounds."""

import runpy
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.architecture.sources import ROOT


def settings_with(monkeypatch: pytest.MonkeyPatch, seconds: str | None) -> dict[str, Any]:
    if seconds is not None:
        monkeypatch.setenv("GREEKS_BEAT_SECONDS", seconds)
    return runpy.run_path(str(ROOT / "ticker_site" / "settings.py"))


@pytest.mark.parametrize(("said", "seconds"), [(None, 1.0), ("2.5", 2.5), ("0.2", 0.2), ("10", 10.0)])
def test_the_chains_are_computed_as_often_as_the_setting_says(
    monkeypatch: pytest.MonkeyPatch, said: str | None, seconds: float
) -> None:
    entry = settings_with(monkeypatch, said)["CELERY_BEAT_SCHEDULE"]["recompute chains"]

    assert (entry["schedule"], entry["options"]) == (timedelta(seconds=seconds), {"expires": seconds})


@pytest.mark.parametrize("said", ["0.1", "11", "0", "-1"])
def test_a_beat_out_of_bounds_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="GREEKS_BEAT_SECONDS was"):
        settings_with(monkeypatch, said)
