"""Errors of the order path that a caller can act on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from accounts.errors import PlatformError


class OrdersError(PlatformError):
    """Base of the order path's errors."""

    code = "order_error"
    status = 422
    outcome: ClassVar[str | None] = "not_sent"


class OrderUnknown(OrdersError):
    """No such order, or none that the caller may see."""

    code = "order_unknown"
    status = 404


class IdempotencyKeyMissing(OrdersError):
    """A write came without a usable Idempotency-Key header."""

    code = "idempotency_key_missing"
    status = 400


class IdempotencyMismatch(OrdersError):
    """The key was used before with another body."""

    code = "idempotency_key_reused"


class ReplacementForbidden(OrdersError):
    """Only an order that certainly never traded may be replaced, and only once."""

    code = "replacement_forbidden"
    status = 409


class OrderEnded(OrdersError):
    """The order is past changing."""

    code = "order_ended"
    status = 409


class ChangeForbidden(OrdersError):
    """The order cannot be modified as asked."""

    code = "change_forbidden"


class PostbackRefused(OrdersError):
    """The postback is not signed with this account's secret."""

    code = "postback_refused"
    status = 403


class MarginUnavailable(OrdersError):
    """A limit asks for the order's margin, and the broker cannot tell it at this moment."""

    code = "margin_unavailable"
    status = 503
    retryable = True


class PriceUnavailable(OrdersError):
    """The last price is needed to judge the order and cannot be had at this moment."""

    code = "price_unavailable"
    status = 503
    retryable = True


class BasketUnknown(OrdersError):
    """No such group of orders, or none that the caller may see."""

    code = "basket_unknown"
    status = 404


@dataclass(frozen=True, slots=True)
class LegDenial:
    """Why one leg of a basket would be denied."""

    leg: int
    code: str
    detail: str
    field: str | None


class BasketDenied(OrdersError):
    """Legs of a basket would be denied, so none of it was sent."""

    code = "basket_denied"

    def __init__(self, legs: Sequence[LegDenial]) -> None:
        first = legs[0]
        super().__init__(f"leg {first.leg}: {first.detail}", field=f"legs.{first.leg}.{first.field or 'quantity'}")
        self.legs = tuple(legs)


class NothingToExit(OrdersError):
    """The cover order has no leg left that could be exited."""

    code = "nothing_to_exit"
    status = 409


class TriggerUnknown(OrdersError):
    """No such trigger, or none that the caller may see."""

    code = "gtt_unknown"
    status = 404


class TriggerBusy(OrdersError):
    """Another write to a trigger of this account and symbol is on its way or in doubt."""

    code = "gtt_write_in_flight"
    status = 409
    retryable = True


class TriggerEnded(OrdersError):
    """The trigger has fired or ended: it is past changing."""

    code = "gtt_ended"
    status = 409


class TriggerDenied(OrdersError):
    """The trigger's order would not pass the checks."""

    code = "gtt_denied"


class RequeueForbidden(OrdersError):
    """The order may have been placed, or was refused for what it says: sending it again is not safe."""

    code = "requeue_forbidden"
    status = 409
