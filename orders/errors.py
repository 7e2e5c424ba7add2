"""Errors of the order path that a caller can act on."""

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


class PriceUnavailable(OrdersError):
    """The last price is needed to judge the order and cannot be had at this moment."""

    code = "price_unavailable"
    status = 503
    retryable = True
