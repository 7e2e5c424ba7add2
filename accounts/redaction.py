"""Takes secrets out of texts that leave the process: the log above all. Knows every secret revealed here."""

import re
import threading
from collections import OrderedDict
from typing import Final

REDACTED: Final = "[redacted]"
REMEMBERED: Final = 512
# A shorter text would blot out ordinary words.
SHORTEST: Final = 8
API_KEY: Final = r"(?<=tkr_live_)([A-Za-z0-9]{8})_[A-Za-z0-9_-]{43}"

_lock = threading.Lock()
_known: OrderedDict[str, None] = OrderedDict()


def remember(text: str) -> None:
    """Take `text` out of everything from now on; the oldest of many is forgotten."""
    if len(text) < SHORTEST or text in _known:
        return
    with _lock:
        _known[text] = None
        if len(_known) > REMEMBERED:
            _known.popitem(last=False)


def redact(text: str) -> str:
    """Return `text` without API keys and without the secrets this process has revealed."""
    for secret in tuple(_known):
        if secret in text:
            text = text.replace(secret, REDACTED)
    return re.sub(API_KEY, rf"\1_{REDACTED}", text)


def redact_line(_logger: object, _name: str, line: str) -> str:
    """Redact a rendered log line: structlog's last processor."""
    return redact(line)
