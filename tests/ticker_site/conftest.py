"""What the sockets of three apps are tried with."""

from tests.greeks.conftest import bus, engine, market  # noqa: F401
from tests.market_data.conftest import publisher, web  # noqa: F401
from tests.orders.conftest import desk  # noqa: F401
