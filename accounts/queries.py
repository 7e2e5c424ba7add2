"""Who may see what, and the logins other processes work with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.errors import AccountUnknown, LoginNeeded
from accounts.fields import Secret
from accounts.guards import Approval
from accounts.models import BrokerAccount, Credential, HaltEpoch, TradingHalt, User
from accounts.statements import every, first, prepared
from kite.types import Login

IST = ZoneInfo("Asia/Kolkata")
TOKEN_DIES = time(6, 0)

READING = frozenset({"accounts:read", "market:read", "orders:read", "greeks:read"})
OPERATING = READING | {"market:write", "ops:read", "ops:write", "approvals:write"}
EVERY_SCOPE = OPERATING | {"accounts:write", "orders:write"}
ROLE_SCOPES: Mapping[str, frozenset[str]] = {
    User.Role.NONE: frozenset(),
    User.Role.VIEWER: READING,
    User.Role.TRADER: READING | {"market:write", "orders:write"},
    User.Role.OPERATOR: OPERATING,
    User.Role.SECURITY_OFFICER: frozenset({"accounts:read", "accounts:write", "ops:read", "approvals:write"}),
    User.Role.ADMINISTRATOR: EVERY_SCOPE,
}


# Asked for every order, so they are written once.
IN_FORCE = "accounts_credential.account_id = %s AND current"
UNRELEASED = "released_at IS NULL ORDER BY engaged_at, id"
EPOCH = "SELECT epoch FROM accounts_haltepoch WHERE id = 1 FOR SHARE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is asking and what they may do; `account_ids` None means every account."""

    user_id: int
    label: str
    key_id: int | None
    scopes: frozenset[str]
    account_ids: frozenset[UUID] | None

    def may(self, scope: str) -> bool:
        """Say whether the scope is held."""
        return scope in self.scopes

    def sees(self, account_id: UUID) -> bool:
        """Say whether the account is one of theirs."""
        return self.account_ids is None or account_id in self.account_ids


def scopes_of(user: User) -> frozenset[str]:
    """Return the scopes a user holds by role."""
    return EVERY_SCOPE if user.is_superuser else ROLE_SCOPES[user.role]


def account_ids_of(user: User) -> frozenset[UUID] | None:
    """Return the accounts a user may see; None means every account."""
    if user.is_superuser or user.every_account:
        return None
    return frozenset(user.accounts.values_list("id", flat=True))


def principal_of(user: User) -> Principal:
    """Return the principal of a person's own session."""
    return Principal(
        user_id=user.pk,
        label=user.get_username(),
        key_id=None,
        scopes=scopes_of(user),
        account_ids=account_ids_of(user),
    )


def visible_accounts(principal: Principal) -> QuerySet[BrokerAccount]:
    """Return the accounts the principal may see, by label."""
    accounts = BrokerAccount.objects.select_related("group").order_by("label")
    return accounts if principal.account_ids is None else accounts.filter(id__in=principal.account_ids)


def account_by_label(*, label: str, principal: Principal) -> BrokerAccount:
    """Return the account, or raise AccountUnknown where it is absent or not the principal's."""
    account = first(BrokerAccount, "label = %s", label)
    if account is None or not principal.sees(account.pk):
        raise AccountUnknown(f"no account {label}", field="account")
    return account


def current_credential(*, account_id: UUID) -> Credential | None:
    """Return the version in force, if the account has one."""
    return first(Credential, IN_FORCE, account_id, along="account")


def current_credentials(*, accounts: QuerySet[BrokerAccount]) -> dict[UUID, Credential]:
    """Return the versions in force by account, in one query."""
    return {row.account_id: row for row in Credential.objects.filter(account__in=accounts, current=True)}


def login_for(*, account_id: UUID, now: datetime) -> Login:
    """Return the account's live login; raises LoginNeeded."""
    credential = current_credential(account_id=account_id)
    if credential is None or not credential.is_live(now=now):
        raise LoginNeeded("the account has no live access token: log in at the broker", field="account")
    return login_of(credential)


def streaming_logins(*, now: datetime) -> list[Login]:
    """Return the live logins of the accounts that may stream data now, by label."""
    credentials = Credential.objects.filter(
        current=True,
        access_token__isnull=False,
        token_expires_at__gt=now,
        account__streams_data=True,
        account__state=BrokerAccount.State.ACTIVE,
    )
    return [login_of(row) for row in credentials.select_related("account").order_by("account__label")]


def login_of(credential: Credential) -> Login:
    """Return the login of a version that has a token; its account must be loaded."""
    token: Secret = credential.access_token
    return Login(
        account_id=str(credential.account_id),
        api_key=credential.api_key,
        access_token=token.reveal(),
        version=credential.version,
        rest_root=settings.KITE_REST_ROOT,
        ws_root=settings.KITE_WS_ROOT,
        source_address=credential.account.source_address or "",
        order_proxy=credential.account.order_proxy,
    )


def token_expiry(now: datetime) -> datetime:
    """Return when a token issued now dies: the next 06:00 in India."""
    local = now.astimezone(IST)
    today = datetime.combine(local.date(), TOKEN_DIES, tzinfo=IST)
    return today if local < today else today + timedelta(days=1)


def open_halts() -> list[TradingHalt]:
    """Return the halts in force, oldest first."""
    return every(TradingHalt, UNRELEASED)


def lock_halt_epoch() -> int:
    """Return the epoch and hold it for share: until this transaction ends, no halt is engaged or released."""
    with prepared() as cursor:
        cursor.execute(EPOCH)
        found = cursor.fetchone()
    if found is not None:
        return int(found[0])
    HaltEpoch.objects.bulk_create([HaltEpoch(id=1)], ignore_conflicts=True)
    return lock_halt_epoch()


def due_for_recovery(*, now: datetime) -> QuerySet[BrokerAccount]:
    """Return degraded accounts whose time to recover has come."""
    return BrokerAccount.objects.filter(Q(state=BrokerAccount.State.DEGRADED), recovers_at__lte=now).order_by("id")


def with_dead_token(*, now: datetime) -> QuerySet[Credential]:
    """Return versions that still hold a token past its time."""
    return Credential.objects.filter(access_token__isnull=False, token_expires_at__lte=now).order_by("id")


def open_approvals(*, now: datetime) -> QuerySet[Approval]:
    """Return the requests that can still be approved, declined or used."""
    return Approval.objects.filter(used_at__isnull=True, closed_at__isnull=True, expires_at__gt=now).order_by(
        "requested_at"
    )
