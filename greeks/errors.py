"""What can go wrong when a chain is asked for, named by what the caller must do."""


class GreeksError(Exception):
    """Base of this app's errors."""

    code = "greeks_error"
    status = 500

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidChain(GreeksError):
    """The request does not name a chain; correct it."""

    code = "invalid_chain"
    status = 400


class UnknownChain(GreeksError):
    """No live chain has this underlying and expiry; choose another."""

    code = "unknown_chain"
    status = 404


class ChainNotReady(GreeksError):
    """The chain is live and has not been computed yet; ask again."""

    code = "chain_not_ready"
    status = 503


class NotEnoughQuotes(GreeksError):
    """Too few usable quotes for the question; ask when the market is open."""

    code = "not_enough_quotes"
    status = 409
