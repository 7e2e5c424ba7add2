"""The table of ASVS 5.0 is complete, and what it points at exists."""

import re
from collections import Counter

from tests.architecture.sources import ROOT

ROW = re.compile(r"^\| V(\d+)\.(\d+)\.(\d+) \| ([\w/ ]+) \| (.+) \|$", re.MULTILINE)
# Requirements of levels 1 and 2 by chapter, counted in the standard's CSV of version 5.0.0, and one of level 3 (2.3.5).
WANTED = {
    1: 27,
    2: 12,
    3: 19,
    4: 10,
    5: 9,
    6: 35,
    7: 18,
    8: 7,
    9: 7,
    10: 29,
    11: 14,
    12: 9,
    13: 13,
    14: 9,
    15: 13,
    16: 16,
    17: 7,
}
FILE = re.compile(r"`((?:tests|accounts|market_data|webhooks|ops|deploy|kite|orders|ticker_site)/[\w/.]+)`")


def rows() -> list[tuple[str, ...]]:
    return ROW.findall((ROOT / "docs/security-asvs.md").read_text())


def test_every_requirement_is_answered_once() -> None:
    ids = [row[:3] for row in rows()]

    assert len(ids) == len(set(ids))
    assert Counter(int(chapter) for chapter, *_ in ids) == WANTED


def test_what_an_answer_points_at_exists() -> None:
    named = {path for row in rows() for path in FILE.findall(row[4])}

    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
