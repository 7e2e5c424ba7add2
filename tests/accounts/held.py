"""The credential of an account that is known to have one."""

from uuid import UUID

from accounts.models import Credential
from accounts.queries import current_credential


def held_credential(*, account_id: UUID) -> Credential:
    credential = current_credential(account_id=account_id)
    assert credential is not None, "the account has no credential"
    return credential
