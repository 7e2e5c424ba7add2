"""Published limits of Kite Connect, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Scope(StrEnum):
    """Whom a limit counts against."""

    API_KEY = "api_key"
    CLIENT = "client"
    ORDER = "order"


class CallClass(StrEnum):
    """Classes of calls: the first three the broker counts apart by API key, orders by client."""

    QUOTE = "quote"
    HISTORICAL = "historical"
    OTHER = "other"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` in any calendar span of `seconds`, counted by the broker's own clock."""

    calls: int
    seconds: int
    scope: Scope


QUOTES: Final = Rate(1, 1, Scope.API_KEY)
HISTORICAL: Final = Rate(3, 1, Scope.API_KEY)
OTHERS: Final = Rate(10, 1, Scope.API_KEY)
# Orders count over all applications of a client; rejected ones count towards the day as well.
ORDERS_PER_SECOND: Final = Rate(10, 1, Scope.CLIENT)
ORDERS_PER_MINUTE: Final = Rate(400, 60, Scope.CLIENT)
ORDERS_PER_DAY: Final = Rate(5000, 86_400, Scope.CLIENT)

MODIFICATIONS_PER_ORDER: Final = 25
SLICES_PER_ORDER: Final = 10
TAG_LENGTH: Final = 20
ICEBERG_LEGS: Final = range(2, 51)

QUOTE_KEYS: Final = 500
OHLC_KEYS: Final = 1000
LTP_KEYS: Final = 1000

SOCKETS_PER_API_KEY: Final = 3
TOKENS_PER_SOCKET: Final = 3000

ACTIVE_GTTS: Final = 500

HISTORICAL_DAYS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "minute": 60,
        "3minute": 100,
        "5minute": 100,
        "10minute": 100,
        "15minute": 200,
        "30minute": 200,
        "60minute": 400,
        "day": 2000,
    }
)
