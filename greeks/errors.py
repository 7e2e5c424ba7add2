"""What can go wrong when a chain is asked for, named by what the caller must do."""

from accounts.errors import PlatformError


class GreeksError(PlatformError):
    """Base of this app's errors."""

    code = "greeks_error"


class InvalidChain(GreeksError):
    """The request does not name a chain; correct it."""

    code = "invalid_chain"


class InvalidSpan(GreeksError):
    """The span of time cannot be answered; correct it."""

    code = "invalid_span"


class InvalidMessage(GreeksError):
    """A client of the chain socket sent something that cannot be done; correct it."""

    code = "invalid_message"


class UnknownChain(GreeksError):
    """No live chain has this underlying and expiry; choose another."""

    code = "unknown_chain"
    status = 404


class ChainNotReady(GreeksError):
    """The chain is live and was not computed yet; ask again."""

    code = "chain_not_ready"
    status = 503
    retryable = True


class NotEnoughQuotes(GreeksError):
    """Too few usable quotes for the question; ask when the market is open."""

    code = "not_enough_quotes"
    status = 409


class NoRate(GreeksError):
    """No interest rate is in force on the day; enter one in the admin."""

    code = "no_rate"
    status = 409


class BadChainBlob(GreeksError):
    """Stored bytes are not a chain this version can read; they are replaced at the next computation."""

    code = "bad_chain_blob"
    status = 503
    retryable = True
