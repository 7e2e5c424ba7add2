"""Look at the broker's lists for instructions whose answer was lost."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db.models import Q

from accounts.errors import PlatformError
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.errors import KiteError
from kite.types import Login
from portfolio.instructions import Kind, State, quantity_of, settle, tag_of
from portfolio.models import Instruction

log = structlog.get_logger(__name__)

# The longest answer of the broker is 7 s; a process that died in between never says.
LONGEST_CARRY: Final = timedelta(seconds=30)
# What the broker's lists do not show after this time did not happen.
QUARANTINE: Final = timedelta(seconds=180)

Shown = bool | None
Look = Callable[[Sessions, Login, Instruction], Shown]


def settle_all(*, sessions: Sessions, now: datetime) -> int:
    """Settle what can be told by now; return how many instructions were."""
    doubtful = Q(state=State.UNKNOWN) | Q(state=State.SENDING, created_at__lte=now - LONGEST_CARRY)
    rows = Instruction.objects.select_related("account").filter(doubtful).order_by("created_at", "id")
    return sum(_settle(row, sessions=sessions, now=now) for row in rows)


def _settle(instruction: Instruction, *, sessions: Sessions, now: datetime) -> bool:
    try:
        login = login_for(account_id=instruction.account_id, now=now)
        shown = LOOKS[Kind(instruction.kind)](sessions, login, instruction)
    except (KiteError, PlatformError) as error:
        log.warning("portfolio.instruction.not_settled", id=str(instruction.pk), error=str(error))
        return False
    if shown:
        return settle(instruction=instruction, state=State.DONE, code="", reason="found at the broker", now=now)
    if shown is None:
        reason = "positions moved in another way meanwhile: compare them by hand"
        settle(instruction=instruction, state=State.UNKNOWN, code="ambiguous", reason=reason, now=now)
        return False
    if now - instruction.created_at < QUARANTINE:
        return False
    reason = f"the broker does not show it {QUARANTINE.seconds} s later"
    return settle(instruction=instruction, state=State.NOT_DONE, code="not_found", reason=reason, now=now)


def _conversion_shown(sessions: Sessions, login: Login, instruction: Instruction) -> Shown:
    """Say whether both products moved by the quantity, None where they moved otherwise."""
    net, body, before = sessions.client(login).positions().net, instruction.body, instruction.before
    sign = 1 if before["old"] > 0 else -1
    left = (before["old"] - quantity_of(net, body=body, product=body["old_product"])) * sign
    came = (quantity_of(net, body=body, product=body["new_product"]) - before["new"]) * sign
    if left == came == body["quantity"]:
        return True
    return False if left == came == 0 else None


def _fund_order_shown(sessions: Sessions, login: Login, instruction: Instruction) -> Shown:
    return _by_tag(sessions.client(login).funds.orders(), "order_id", instruction)


def _fund_order_gone(sessions: Sessions, login: Login, instruction: Instruction) -> Shown:
    return _gone(sessions.client(login).funds.orders(), "order_id", instruction)


def _sip_shown(sessions: Sessions, login: Login, instruction: Instruction) -> Shown:
    return _by_tag(sessions.client(login).funds.sips(), "sip_id", instruction)


def _sip_gone(sessions: Sessions, login: Login, instruction: Instruction) -> Shown:
    return _gone(sessions.client(login).funds.sips(), "sip_id", instruction)


def _sip_changed(sessions: Sessions, login: Login, instruction: Instruction) -> Shown:
    rows = sessions.client(login).funds.sips()
    row = next((row for row in rows if row.get("sip_id") == instruction.body["sip_id"]), None)
    if row is None:
        return False
    names = {"amount": "instalment_amount"}
    wanted = {names.get(name, name): value for name, value in instruction.body.items() if name != "sip_id"}
    return all(str(row.get(name)).lower() == str(value).lower() for name, value in wanted.items())


def _by_tag(rows: Iterable[Mapping[str, Any]], name: str, instruction: Instruction) -> bool:
    for row in rows:
        if row.get("tag") == tag_of(instruction):
            instruction.broker_id = str(row[name])
            return True
    return False


def _gone(rows: Iterable[Mapping[str, Any]], name: str, instruction: Instruction) -> bool:
    row = next((row for row in rows if row.get(name) == instruction.body[name]), None)
    return row is None or str(row.get("status")).startswith("CANCEL")


LOOKS: Final[Mapping[Instruction.Kind, Look]] = {
    Kind.CONVERSION: _conversion_shown,
    Kind.FUND_ORDER: _fund_order_shown,
    Kind.FUND_ORDER_CANCEL: _fund_order_gone,
    Kind.SIP: _sip_shown,
    Kind.SIP_CHANGE: _sip_changed,
    Kind.SIP_CANCEL: _sip_gone,
}
