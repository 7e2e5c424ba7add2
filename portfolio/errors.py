"""Errors of reading and changing a portfolio that a caller can act on."""

from typing import ClassVar

from accounts.errors import PlatformError


class PortfolioError(PlatformError):
    """Base of the portfolio's errors."""

    code = "portfolio_error"
    status = 422


class GroupUnknown(PortfolioError):
    """No such group of accounts, or none of its accounts is the caller's."""

    code = "group_unknown"
    status = 404


class NotRead(PortfolioError):
    """The broker did not answer, and nothing was read before."""

    code = "portfolio_unavailable"
    status = 503
    retryable = True


class InstructionUnknown(PortfolioError):
    """No such instruction, or none that the caller may see."""

    code = "instruction_unknown"
    status = 404


class InstructionRefused(PortfolioError):
    """The platform does not carry the instruction."""

    code = "instruction_refused"
    outcome: ClassVar[str | None] = "not_sent"


class PositionUnknown(InstructionRefused):
    """The account does not hold what should be converted."""

    code = "position_unknown"


class TradingHalted(InstructionRefused):
    """A halt covers the account."""

    code = "trading_halted"
    status = 423
    retryable = True


class InstructionInFlight(InstructionRefused):
    """The same key is being carried at this moment."""

    code = "instruction_in_flight"
    status = 409
    outcome: ClassVar[str | None] = "unknown"
    retryable = True
