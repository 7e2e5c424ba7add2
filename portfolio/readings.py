"""Read accounts through their brokers, and fall back on the last answer where a broker is silent."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import structlog

from accounts.errors import PlatformError
from accounts.models import BrokerAccount
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.errors import KiteError
from kite.types import Login
from portfolio.errors import NotRead
from portfolio.models import Reading

log = structlog.get_logger(__name__)

AT_ONCE: Final = 8
Kind = Reading.Kind


@dataclass(frozen=True, slots=True)
class Part:
    """One account's answer: its age, and what kept a newer one from being had."""

    account: BrokerAccount
    answer: Any
    read_at: datetime | None
    code: str = ""
    detail: str = ""

    def age_seconds(self, *, now: datetime) -> float | None:
        """Return how old the answer is, None where there is none."""
        return None if self.read_at is None else max(0.0, (now - self.read_at).total_seconds())


def read(
    *, accounts: Sequence[BrokerAccount], kind: Reading.Kind, sessions: Sessions, max_age: float, now: datetime
) -> list[Part]:
    """Return every account's answer in the accounts' order.

    Answers younger than `max_age` seconds are not asked for again. Where the broker does not answer, the part holds
    the last answer with its age and the reason. Raises NotRead where not one account has an answer.
    """
    held = {row.account_id: row for row in Reading.objects.filter(account__in=accounts, kind=kind)}
    fresh = {key for key, row in held.items() if (now - row.read_at).total_seconds() <= max_age}
    asked = [account for account in accounts if account.pk not in fresh]
    answers = _ask(asked, kind, sessions=sessions, now=now)
    _keep(answers, kind, now=now)
    parts = [_part(account, answers.get(account.pk), held.get(account.pk), now=now) for account in accounts]
    if parts and all(part.read_at is None for part in parts):
        raise NotRead(f"{parts[0].account}: {parts[0].detail}", field="account")
    return parts


def _ask(
    accounts: Sequence[BrokerAccount], kind: Reading.Kind, *, sessions: Sessions, now: datetime
) -> dict[Any, tuple[Any, str, str]]:
    """Ask the brokers side by side; only the calls run in threads, the database stays in this one."""
    logins: dict[Any, Login] = {}
    found: dict[Any, tuple[Any, str, str]] = {}
    for account in accounts:
        try:
            logins[account.pk] = login_for(account_id=account.pk, now=now)
        except PlatformError as error:
            found[account.pk] = (None, error.code, str(error))
    if logins:
        with ThreadPoolExecutor(min(AT_ONCE, len(logins)), thread_name_prefix="portfolio") as pool:
            answers = pool.map(lambda login: _call(sessions, login, kind), logins.values())
            found.update(zip(logins, answers, strict=True))
    return found


def _call(sessions: Sessions, login: Login, kind: Reading.Kind) -> tuple[Any, str, str]:
    try:
        return READERS[kind](sessions, login), "", ""
    except (KiteError, PlatformError) as error:
        log.warning("portfolio.read.failed", kind=kind.value, code=error.code)
        return None, f"broker_{error.code}", str(error)


def _keep(answers: Mapping[Any, tuple[Any, str, str]], kind: Reading.Kind, *, now: datetime) -> None:
    rows = [
        Reading(account_id=key, kind=kind, answer=answer, read_at=now)
        for key, (answer, code, _) in sorted(answers.items())
        if not code
    ]
    Reading.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["account", "kind"], update_fields=["answer", "read_at"]
    )


def _part(account: BrokerAccount, answer: tuple[Any, str, str] | None, held: Reading | None, *, now: datetime) -> Part:
    value, code, detail = answer or (None, "", "")
    if answer is not None and not code:
        return Part(account, value, now)
    if held is None:
        return Part(account, None, None, code, detail)
    return Part(account, held.answer, held.read_at, code, detail)


def _positions(sessions: Sessions, login: Login) -> Any:
    found = sessions.client(login).positions()
    return {"net": [dict(row.raw) for row in found.net], "day": [dict(row.raw) for row in found.day]}


def _margins(sessions: Sessions, login: Login) -> Any:
    return {name: _floats(asdict(segment)) for name, segment in sessions.client(login).margins().items()}


def _floats(value: Any) -> Any:
    """Return a document of numbers; margins come as decimals nested in two levels."""
    if isinstance(value, dict):
        return {name: _floats(each) for name, each in value.items()}
    return value if isinstance(value, bool) else float(value)


READERS: Final[Mapping[Reading.Kind, Callable[[Sessions, Login], Any]]] = {
    Kind.POSITIONS: _positions,
    Kind.HOLDINGS: lambda sessions, login: [dict(row.raw) for row in sessions.client(login).holdings()],
    Kind.MARGINS: _margins,
    Kind.PROFILE: lambda sessions, login: dict(sessions.client(login).profile().raw),
    Kind.FUND_ORDERS: lambda sessions, login: [dict(row) for row in sessions.client(login).funds.orders()],
    Kind.FUND_SIPS: lambda sessions, login: [dict(row) for row in sessions.client(login).funds.sips()],
    Kind.FUND_HOLDINGS: lambda sessions, login: [dict(row) for row in sessions.client(login).funds.holdings()],
    Kind.FUNDS: lambda sessions, login: [dict(row) for row in sessions.client(login).funds.instruments()],
}
