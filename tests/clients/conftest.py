"""What the tests of the Python client may ask for."""

from tests.market_data.conftest import publisher, web

__all__ = ["publisher", "web"]
