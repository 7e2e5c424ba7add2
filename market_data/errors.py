"""Errors of market data a caller can act on."""

from accounts.errors import PlatformError


class MarketDataError(PlatformError):
    """Base of the app's errors."""

    code = "market_data_error"


class InstrumentUnknown(MarketDataError):
    """No listed instrument goes by that name."""

    code = "instrument_unknown"
    status = 404


class IndexUnknown(MarketDataError):
    """The underlying has no index or share the platform knows."""

    code = "index_unknown"
    status = 404


class ListUnknown(MarketDataError):
    """No saved list goes by that name."""

    code = "list_unknown"
    status = 404


class ChainUnknown(MarketDataError):
    """No listed options of that underlying and expiry."""

    code = "chain_unknown"
    status = 404


class WindowUnknown(MarketDataError):
    """The caller has no window of that underlying."""

    code = "window_unknown"
    status = 404


class HistoryRefused(MarketDataError):
    """Candles that cannot be asked for: an unknown interval, a range too long or still to come."""

    code = "history_refused"
    status = 400


class CapacityExceeded(MarketDataError):
    """More instruments are wanted than the logged-in accounts may stream."""

    code = "capacity_exceeded"
    status = 409


class DumpRefused(MarketDataError):
    """The instruments dump cannot be right; nothing was changed."""

    code = "dump_refused"
    status = 422


class FreezeFileRefused(MarketDataError):
    """The file of freeze quantities cannot be right; nothing was changed."""

    code = "freeze_file_refused"
    status = 422


class SyncRunning(MarketDataError):
    """Another process is loading the instruments at this moment."""

    code = "sync_running"
    status = 409
    retryable = True


class ShardTaken(MarketDataError):
    """Another process owns this shard of the feed or of the recorder."""

    code = "shard_taken"
    status = 409


class FeedDown(MarketDataError):
    """The bus cannot be reached, so no live value can be given."""

    code = "bus_unreachable"
    status = 503
    retryable = True


class Draining(MarketDataError):
    """This process is about to end; connect again, to another."""

    code = "draining"
    status = 503
    retryable = True


class Full(MarketDataError):
    """This process holds as many sockets as it may; connect again, to another."""

    code = "too_many_sockets"
    status = 503
    retryable = True


class BadBatch(MarketDataError):
    """Bytes on the bus are not a batch this version can read."""

    code = "bad_batch"
    status = 500


class BadCommand(MarketDataError):
    """A client of the tick socket sent something that cannot be done; `code` and `field` name the fault."""

    def __init__(self, message: str, *, code: str, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.fault = code
