"""What can go wrong when an operator acts, named by what he must do."""

from accounts.errors import PlatformError


class TargetUnknown(PlatformError):
    """The thing to act on does not exist; check its name."""

    code = "target_unknown"
    status = 404


class HaltStricter(PlatformError):
    """A stricter halt is already in force; release it first."""

    code = "halt_stricter"
    status = 409


class ClearingForbidden(PlatformError):
    """This halt cannot be cleared so: orders of a strategy share positions with others."""

    code = "clearing_forbidden"
    status = 409


class HaltUnknown(PlatformError):
    """No such halt is in force; look at the list again."""

    code = "halt_unknown"
    status = 404


class VerbUnknown(PlatformError):
    """The Desk has no such verb."""

    code = "verb_unknown"
    status = 404


class AlertUnknown(PlatformError):
    """The alert is over; look at the list again."""

    code = "alert_unknown"
    status = 404


class NotSaid(PlatformError):
    """A channel did not take an alert; it is tried again."""

    code = "alert_not_said"
    status = 502


class NoTaker(PlatformError):
    """No other account could take the data; log one in first."""

    code = "no_taker"
    status = 409


class LoginFailed(PlatformError):
    """The broker's login page did not lead to a session; log in by hand."""

    code = "login_failed"
    status = 502


class BackupFailed(PlatformError):
    """The backup was not written or not restored; the text says what to mend."""

    code = "backup_failed"
    status = 500


class JobUnknown(PlatformError):
    """No such job may be started by hand."""

    code = "job_unknown"
    status = 404


class QueueUnreachable(PlatformError):
    """The queue of the workers does not answer; nothing was put into it."""

    code = "queue_unreachable"
    status = 503
    retryable = True
