"""The switches of a running exchange, all settable over the control API."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field


@dataclass(slots=True)
class Settings:
    """Defaults are what the broker is known to do; what its documentation leaves open is a switch."""

    exchange_latency: float = 0.02
    margin_check: str = "before"
    require_protection: bool = True
    limits: bool = True
    limit_skew_seconds: float = 0.0
    limit_jitter_seconds: float = 0.0
    quote_per_second: int = 1
    historical_per_second: int = 3
    orders_per_second: int = 10
    other_per_second: int = 10
    orders_per_minute: int = 400
    orders_per_day: int = 5_000
    modifications_per_order: int = 25
    sockets_per_key: int = 3
    refuse_fourth_socket: bool = True
    tokens_per_socket: int = 3_000
    heartbeat_seconds: float = 1.5
    autoslice_shape: str = "v2"
    modify_quantity: str = "total"
    sockets_die_with_session: bool = True
    instruments_need_session: bool = False
    require_depository_authorisation: bool = False
    mutual_fund_orders: bool = False
    market_data: bool = True
    registered_addresses: dict[str, list[str]] = field(default_factory=dict)
    postback_duplicate: int = 0
    postback_delay_seconds: float = 0.0
    postback_reorder: bool = False
    postback_drop: float = 0.0
    postback_bad_checksum: bool = False

    def change(self, changes: dict[str, object]) -> None:
        """Set fields by name; a wrong name or type changes nothing."""
        for name, value in changes.items():
            self._check(name, value)
        for name, value in changes.items():
            setattr(self, name, type(getattr(self, name))(value))

    def _check(self, name: str, value: object) -> None:
        if name not in {field.name for field in dataclasses.fields(self)}:
            raise ValueError(f"no setting {name}")
        current = getattr(self, name)
        wanted: tuple[type, ...] = (int, float) if type(current) is float else (type(current),)
        if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(current, bool)):
            raise TypeError(f"{name} must be {type(current).__name__}, was {value!r}")
