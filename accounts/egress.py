"""Orders leave from the addresses their owner registered at the broker, or not at all."""

import ipaddress
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.db import connection, transaction

from accounts.addresses import EgressCheck, RegisteredAddress
from accounts.audit import record, required
from accounts.errors import AddressRefused, EgressUnseen
from accounts.families import refuse_sharing
from accounts.health import PLATFORM, locked, subject_of
from accounts.models import BrokerAccount
from accounts.queries import IST
from accounts.sessions import Sessions
from accounts.statements import prepared
from kite.errors import KiteError
from kite.types import Login

log = structlog.get_logger(__name__)

Verdict = EgressCheck.Verdict
# The broker registers two addresses for a client at most.
MOST_ADDRESSES: Final = 2
LOCK_SPACE: Final = 0x65677273  # "egrs"; the other half of an advisory lock's name
LOOK_AGAIN: Final = timedelta(seconds=60)
BOUND: Final = "SELECT EXISTS (SELECT FROM accounts_registeredaddress WHERE account_id = %s)"


def register(
    *, account_id: UUID, addresses: Iterable[str], actor: str, reason: str, now: datetime
) -> list[RegisteredAddress]:
    """Make these the account's registered addresses, none of them another family's; its orders are checked anew."""
    wanted = _read(addresses)
    why = required(reason)
    with transaction.atomic():
        _one_at_a_time()
        account = locked(account_id)
        refuse_sharing(account_id=account.pk, group_id=account.group_id, addresses=wanted)
        held = RegisteredAddress.objects.filter(account=account)
        before = sorted(held.values_list("address", flat=True))
        held.exclude(address__in=wanted).delete()
        RegisteredAddress.objects.bulk_create(
            RegisteredAddress(account=account, address=address, registered_at=now, registered_by=actor)
            for address in wanted
            if address not in before
        )
        EgressCheck.objects.filter(account=account, day=_day(now)).delete()
        _set_fault(account, "")
        record(
            actor=actor,
            action="accounts.egress.registered",
            subject=subject_of(account),
            reason=why,
            detail={"before": before, "after": wanted},
            now=now,
        )
        return list(held.order_by("address"))


def require_seen(*, login: Login, sessions: Sessions, now: datetime) -> None:
    """Look from where this account's orders leave, once a day and whenever its route changed.

    Raises EgressUnseen while nobody can say. What was seen to be foreign is on the account as `egress_fault`, which
    refuses its orders.
    """
    account_id = UUID(login.account_id)
    if not _is_bound(account_id):
        return
    latest = _latest(account_id, login, now)
    if latest is not None and _still_holds(latest, now):
        return
    seen = check(login=login, sessions=sessions, now=now)
    if seen is not None and seen.verdict == Verdict.UNSEEN:
        raise EgressUnseen(f"nobody can say from where orders leave: {seen.why}", field="account")


def check(*, login: Login, sessions: Sessions, now: datetime) -> EgressCheck | None:
    """Look now, write down what was seen and what follows; None for an account without registered addresses."""
    account_id = UUID(login.account_id)
    observed, why = _observe(login, sessions)
    with transaction.atomic():
        account = locked(account_id)
        registered = set(RegisteredAddress.objects.filter(account=account).values_list("address", flat=True))
        if not registered:
            _set_fault(account, "")
            return None
        verdict = Verdict.UNSEEN if observed is None else _verdict(observed, registered)
        if verdict is not Verdict.UNSEEN:
            why = f"orders leave from {observed}, registered is {', '.join(sorted(registered))}"
        seen = EgressCheck.objects.create(
            account=account,
            at=now,
            day=_day(now),
            route=_route(login),
            observed=observed,
            verdict=verdict,
            why=why[:200],
        )
        _follow(account, seen, now=now)
    return seen


def addresses_of(*, account_id: UUID) -> list[str]:
    """Return an account's registered addresses."""
    rows = RegisteredAddress.objects.filter(account_id=account_id).order_by("address")
    return list(rows.values_list("address", flat=True))


def bound_accounts() -> list[UUID]:
    """Return the accounts that have registered addresses and place orders."""
    rows = RegisteredAddress.objects.filter(account__places_orders=True).order_by("account_id")
    return list(rows.values_list("account_id", flat=True).distinct())


def _read(addresses: Iterable[str]) -> list[str]:
    try:
        read = [ipaddress.ip_address(address.strip()) for address in addresses]
    except ValueError as error:
        raise AddressRefused(f"an address is no IP address: {error}", field="addresses") from error
    wanted = sorted({str(getattr(one, "ipv4_mapped", None) or one) for one in read})
    if len(wanted) > MOST_ADDRESSES:
        raise AddressRefused(
            f"the broker registers {MOST_ADDRESSES} addresses at most, these are {len(wanted)}", field="addresses"
        )
    return wanted


def _one_at_a_time() -> None:
    """Two families must not register the same address in the same moment."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK_SPACE])


def _is_bound(account_id: UUID) -> bool:
    with prepared() as cursor:
        cursor.execute(BOUND, [account_id])
        return bool(cursor.fetchone()[0])


def _latest(account_id: UUID, login: Login, now: datetime) -> EgressCheck | None:
    rows = EgressCheck.objects.filter(account_id=account_id, day=_day(now), route=_route(login))
    return rows.order_by("-at", "-id").first()


def _still_holds(seen: EgressCheck, now: datetime) -> bool:
    return seen.verdict == Verdict.REGISTERED or (seen.verdict == Verdict.FOREIGN and now - seen.at < LOOK_AGAIN)


def _observe(login: Login, sessions: Sessions) -> tuple[str | None, str]:
    try:
        told = sessions.observed_address(login)
        address = ipaddress.ip_address(told)
    except KiteError as error:
        return None, error.message
    except ValueError as error:
        return None, str(error)
    return str(getattr(address, "ipv4_mapped", None) or address), ""


def _verdict(observed: str, registered: set[str]) -> EgressCheck.Verdict:
    return Verdict.REGISTERED if observed in registered else Verdict.FOREIGN


def _follow(account: BrokerAccount, seen: EgressCheck, *, now: datetime) -> None:
    """Refuse or allow the account's orders; what nobody saw changes nothing."""
    fault = seen.why if seen.verdict == Verdict.FOREIGN else ""
    if seen.verdict == Verdict.UNSEEN or bool(fault) == bool(account.egress_fault):
        return
    _set_fault(account, fault)
    word = "refused" if fault else "allowed"
    record(
        actor=PLATFORM,
        action=f"accounts.egress.{word}",
        subject=subject_of(account),
        reason=seen.why,
        detail={"observed": seen.observed, "route": seen.route},
        now=now,
    )
    level = log.error if fault else log.info
    level(f"accounts.egress.{word}", account=account.label, observed=seen.observed, why=seen.why)


def _set_fault(account: BrokerAccount, fault: str) -> None:
    account.egress_fault = fault
    account.save(update_fields=["egress_fault"])


def _route(login: Login) -> str:
    return f"{login.source_address or 'any'} {login.order_proxy or 'direct'}"[:250]


def _day(now: datetime) -> date:
    return now.astimezone(IST).date()
