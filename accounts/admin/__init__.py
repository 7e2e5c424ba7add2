"""Admin pages of accounts; importing the modules registers them."""

from accounts.admin import brokerage, people, trail

__all__ = ["brokerage", "people", "trail"]
