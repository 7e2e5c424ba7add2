"""Errors of the webhooks that a caller can act on."""

from typing import ClassVar

from accounts.errors import PlatformError


class WebhookError(PlatformError):
    """Base of the webhooks' errors; nothing was sent to a broker."""

    code = "webhook_error"
    status = 422
    outcome: ClassVar[str | None] = "not_sent"


class AddressRefused(WebhookError):
    """The URL leads, or may lead, to a place that is not on the public Internet."""

    code = "address_refused"


class EndpointUnknown(WebhookError):
    """No such endpoint, or none that the caller may see."""

    code = "webhook_unknown"
    status = 404


class TooManyEndpoints(WebhookError):
    """The caller has as many endpoints as one person may have."""

    code = "too_many_webhooks"
    status = 409


class NotReplayable(WebhookError):
    """The delivery is still on its way, or its endpoint takes nothing."""

    code = "delivery_not_replayable"
    status = 409
