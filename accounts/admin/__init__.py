"""Admin pages of accounts; importing the modules registers them."""

from accounts.admin import brokerage, exporting, people, safety, trail

__all__ = ["brokerage", "exporting", "people", "safety", "trail"]
