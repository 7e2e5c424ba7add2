"""The example file knows every setting, and no other."""

import re

from tests.architecture.sources import ROOT

READ = re.compile(r"env\.(?:str|bool|int|float|list|db)\(\s*\"([A-Z_]+)\"")
WRITTEN = re.compile(r"^([A-Z_]+)=", re.MULTILINE)


def test_the_example_lists_the_settings_that_are_read() -> None:
    read = set(READ.findall((ROOT / "ticker_site" / "settings.py").read_text()))

    assert set(WRITTEN.findall((ROOT / ".env.example").read_text())) == read
