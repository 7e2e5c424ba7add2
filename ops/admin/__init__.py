"""Admin pages of operations; importing the modules registers them."""

from ops.admin import alerting, beat, floor, loads, records

__all__ = ["alerting", "beat", "floor", "loads", "records"]
