"""The refusals of the exchange, in Kite's own words."""

from __future__ import annotations


class KiteError(Exception):
    """A refusal that travels as Kite's error envelope."""

    def __init__(self, status: int, error_type: str, message: str, data: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.data = data

    def envelope(self) -> dict[str, object]:
        return {"status": "error", "message": self.message, "error_type": self.error_type, "data": self.data}


def input_error(message: str) -> KiteError:
    return KiteError(400, "InputException", message)


def order_error(message: str, *, status: int = 400) -> KiteError:
    return KiteError(status, "OrderException", message)


def margin_error(message: str) -> KiteError:
    return KiteError(400, "MarginException", message)


def holding_error(message: str, *, status: int = 400) -> KiteError:
    return KiteError(status, "HoldingException", message)


def permission_error(message: str) -> KiteError:
    return KiteError(403, "PermissionException", message)


def general_error(message: str, *, status: int = 500) -> KiteError:
    return KiteError(status, "GeneralException", message)


def token_error(message: str = "Incorrect `api_key` or `access_token`.") -> KiteError:
    return KiteError(403, "TokenException", message)


def throttled() -> KiteError:
    return KiteError(429, "NetworkException", "Too many requests")
