"""Errors a caller of the platform can act on; every app derives its own from `PlatformError`."""

from typing import ClassVar

from kite.errors import Evidence, Throttled, Unavailable


class PlatformError(Exception):
    """Base of all anticipated errors: a stable code, an HTTP status and what became of the request."""

    code: ClassVar[str] = "platform_error"
    status: ClassVar[int] = 400
    outcome: ClassVar[str | None] = None
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotAuthenticated(PlatformError):
    """Nobody known is asking."""

    code = "not_authenticated"
    status = 401


class IssuerUnavailable(PlatformError):
    """The external token issuer cannot be asked for its keys, so its tokens cannot be believed."""

    code = "issuer_unavailable"
    status = 503
    retryable = True


class Forbidden(PlatformError):
    """The caller is known and may not do this."""

    code = "forbidden"
    status = 403


class AccountUnknown(PlatformError):
    """No such account, or none that the caller may see."""

    code = "account_unknown"
    status = 404


class AccountExists(PlatformError):
    """The label or the broker's user id is taken."""

    code = "account_exists"
    status = 409


class AccountStateConflict(PlatformError):
    """The account's state does not allow the change."""

    code = "account_state_conflict"
    status = 409


class LoginNeeded(PlatformError):
    """The account has no live access token: somebody must log in."""

    code = "login_needed"
    status = 503
    retryable = True


class LoginRefused(PlatformError):
    """The login did not prove the account it was for; nothing was stored."""

    code = "login_refused"
    status = 409


class LoginInProgress(PlatformError):
    """Another login of the same account holds the lock: ask again."""

    code = "login_in_progress"
    status = 409
    retryable = True


class CredentialMissing(PlatformError):
    """The account has no current API key and secret: rotate one in."""

    code = "credential_missing"
    status = 409


class AddressRefused(PlatformError):
    """An address cannot be registered for this account: it is none, one too many, or another family's."""

    code = "address_refused"
    status = 409


class EgressUnseen(PlatformError):
    """Nobody can say now from where this account's orders leave, so they wait."""

    code = "egress_unseen"
    status = 503
    retryable = True


class IdempotencyKeyUnusable(PlatformError):
    """The Idempotency-Key is empty, too long or holds invisible characters."""

    code = "idempotency_key_unusable"


class WriteKeyReused(PlatformError):
    """The same Idempotency-Key came with another request."""

    code = "idempotency_key_reused"
    status = 422


class WriteUnsettled(PlatformError):
    """The first request with the Idempotency-Key has not ended: ask again, and look when that does not help."""

    code = "idempotency_unsettled"
    status = 409
    retryable = True


class ReasonMissing(PlatformError):
    """The deed goes into the audit trail, so it needs a reason."""

    code = "reason_missing"


class ApprovalNeeded(PlatformError):
    """The deed needs the approval of a second person: ask for it, or wait until it is given."""

    code = "approval_needed"
    status = 403


class ApprovalPending(PlatformError):
    """The same deed is asked for already: let somebody approve or decline it."""

    code = "approval_pending"
    status = 409


class ApprovalUnknown(PlatformError):
    """The request was used, declined or has expired: ask anew."""

    code = "approval_unknown"
    status = 404


class SelfApproval(PlatformError):
    """Who asks cannot approve."""

    code = "self_approval"
    status = 403


class SecondFactorWrong(PlatformError):
    """The code is wrong, was used or has passed: enter the next one."""

    code = "second_factor_wrong"
    status = 403


class SecondFactorLocked(PlatformError):
    """Too many wrong codes: wait, or let a security officer reset the second factor."""

    code = "second_factor_locked"
    status = 429
    retryable = True


class StepUpNeeded(PlatformError):
    """The deed asks who is there once more: confirm with a code or the password, then repeat it."""

    code = "step_up_needed"
    status = 403


class BudgetSpent(Throttled):
    """Our share of the broker's rate limit leaves no room within the time a call may wait; nothing was sent."""

    def __init__(self, message: str, *, evidence: Evidence, retry_after: float) -> None:
        super().__init__(message, evidence=evidence)
        self.retry_after = retry_after


class BrokerRests(Unavailable):
    """The broker has not answered for a while: nobody asks it for `retry_after` seconds, and nothing was sent."""

    def __init__(self, message: str, *, evidence: Evidence, retry_after: float) -> None:
        super().__init__(message, evidence=evidence)
        self.retry_after = retry_after


class KeyRingError(PlatformError):
    """The key ring is missing, readable by others or damaged: no secret can be opened."""

    code = "key_ring_unusable"
    status = 503


class KeyServiceDown(KeyRingError):
    """The key service does not answer: what is not in memory cannot be opened until it does."""

    code = "key_service_down"
    retryable = True


class DumpRefused(PlatformError):
    """A dump of the former platform cannot be read as it was said to be; nothing was written."""

    code = "dump_refused"


class SealBroken(PlatformError):
    """A sealed value does not open here: it was changed, or moved from another row, field or installation."""

    code = "seal_broken"
    status = 500
