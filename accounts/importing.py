"""Brings the accounts of the platform before this one over from a dump of its table: all of them, or none."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from accounts import credentials, health
from accounts.errors import DumpRefused, PlatformError
from accounts.fields import Secret
from accounts.models import BrokerAccount
from accounts.queries import current_credential
from accounts.vault.legacy import Reader

Row = Mapping[str, Any]
REASON: Final = "brought over from the former platform"
INACTIVE: Final = "was not active on the former platform"
LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,50}")
USER_ID: Final = re.compile(r"[A-Za-z0-9]{1,20}")
API_KEY: Final = re.compile(r"[A-Za-z0-9_-]{4,40}")
LONGEST_SECRET: Final = 200
FALSE: Final = frozenset({"f", "false", "0", "no"})
NOT_BROUGHT: Final = ("access_token", "password", "totp_key", "totp_secret", "token_dir")


@dataclass(frozen=True, slots=True, kw_only=True)
class OldAccount:
    """One account as the dump has it, opened."""

    row: int
    label: str
    broker_user_id: str
    api_key: str
    api_secret: Secret
    active: bool
    streams_data: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with one field of one row of the dump; rows count from one."""

    row: int
    field: str
    what: str


@dataclass(frozen=True, slots=True)
class Dump:
    """What a dump holds: accounts, what cannot be read, and the columns that stay behind."""

    accounts: Sequence[OldAccount]
    troubles: Sequence[Trouble]
    left_behind: Sequence[str]


def read(*, text: str, reader: Reader, sealed: Iterable[str] = ()) -> Dump:
    """Read a dump of `trading_accounts` or `kite_accounts`, as JSON, JSON lines or CSV with a header.

    Key and secret are opened with `reader`, and so are the columns named by `sealed`.
    """
    rows = _rows(text)
    troubles: list[Trouble] = []
    also = frozenset(sealed)
    found = [_account(number, row, reader, also, troubles) for number, row in enumerate(rows, 1)]
    accounts = [account for account in found if account is not None]
    troubles += [*_twice(accounts, "account_id", "label"), *_twice(accounts, "broker_user_id", "broker_user_id")]
    columns = {name for row in rows for name, value in row.items() if value}
    left = sorted(name for name in columns if name.removesuffix("_encrypted") in NOT_BROUGHT)
    return Dump(accounts, troubles, left)


def clashes(*, dump: Dump) -> list[Trouble]:
    """Return what stands in the way of bringing the accounts over into this database."""
    return [trouble for account in dump.accounts for trouble in _clashes(account)]


def execute(*, dump: Dump, actor: str, now: datetime) -> Counter[str]:
    """Bring every account over in one transaction and return how many were new and how many were here already."""
    with transaction.atomic():
        if troubles := [*dump.troubles, *clashes(dump=dump)]:
            first = troubles[0]
            raise DumpRefused(f"row {first.row}, {first.field}: {first.what}", field=first.field)
        return Counter(_bring(account, actor=actor, now=now) for account in dump.accounts)


def verify(*, dump: Dump) -> list[Trouble]:
    """Return every difference between the dump and what is stored; opens what is stored."""
    return [trouble for account in dump.accounts for trouble in _differences(account)]


def _rows(text: str) -> list[Row]:
    rows: list[Any]
    try:
        match text.lstrip()[:1]:
            case "[":
                rows = json.loads(text)
            case "{":
                rows = [json.loads(line) for line in text.splitlines() if line.strip()]
            case _:
                rows = list(csv.DictReader(io.StringIO(text), strict=True))
    except (ValueError, csv.Error) as error:
        raise DumpRefused(f"the dump is neither JSON, JSON lines nor CSV: {error}") from error
    if not rows or not all(isinstance(row, dict) and "account_id" in row for row in rows):
        raise DumpRefused("the dump has no rows with an account_id: dump trading_accounts or kite_accounts")
    return rows


def _account(
    number: int, row: Row, reader: Reader, sealed: frozenset[str], troubles: list[Trouble]
) -> OldAccount | None:
    before = len(troubles)

    def value(name: str, *columns: str, pattern: re.Pattern[str] | None = None) -> str:
        column = next((one for one in columns if row.get(one)), columns[0])
        try:
            text = str(row.get(column) or "").strip()
            text = reader(text).strip() if text and (name.startswith("api_") or column in sealed) else text
        except DumpRefused as error:
            troubles.append(Trouble(number, column, str(error)))
            return ""
        if not text:
            troubles.append(Trouble(number, column, "is empty"))
        elif pattern is not None and not pattern.fullmatch(text):
            troubles.append(Trouble(number, column, f"holds {len(text)} characters that are no {name}"))
        return text

    account = OldAccount(
        row=number,
        label=value("label", "account_id", pattern=LABEL),
        broker_user_id=value("broker user id", "broker_user_id", "username", pattern=USER_ID),
        api_key=value("api_key", "api_key", "api_key_encrypted", pattern=API_KEY),
        api_secret=Secret(value("api_secret", "api_secret", "api_secret_encrypted")[:LONGEST_SECRET]),
        active=_yes(row.get("is_active")),
        streams_data=_yes(row.get("market_data_available")),
    )
    return account if len(troubles) == before else None


def _yes(value: object) -> bool:
    """A column that is absent or empty says yes, as the table's defaults do."""
    return value is None or value == "" or str(value).lower() not in FALSE


def _twice(accounts: Sequence[OldAccount], field: str, name: str) -> list[Trouble]:
    first: dict[str, int] = {}
    troubles = []
    for account in accounts:
        value = getattr(account, name).lower()
        if first.setdefault(value, account.row) != account.row:
            troubles.append(Trouble(account.row, field, f"is the same as in row {first[value]}"))
    return troubles


def _clashes(account: OldAccount) -> list[Trouble]:
    labelled = BrokerAccount.objects.filter(label=account.label).first()
    held = BrokerAccount.objects.filter(broker_user_id=account.broker_user_id).first()
    if labelled is not None and labelled.broker_user_id != account.broker_user_id:
        return [Trouble(account.row, "account_id", f"is the label of {labelled.broker_user_id} here")]
    if held is None:
        return []
    if held.label != account.label:
        return [Trouble(account.row, "broker_user_id", f"is here already, labelled {held.label}")]
    if current_credential(account_id=held.pk) is not None:
        return _differences(account)
    if held.state == BrokerAccount.State.RETIRED:
        return [Trouble(account.row, "account_id", "is retired here")]
    return []


def _bring(account: OldAccount, *, actor: str, now: datetime) -> str:
    held = BrokerAccount.objects.filter(broker_user_id=account.broker_user_id).first()
    if held is not None and current_credential(account_id=held.pk) is not None:
        return "here already"
    try:
        stored = held or health.add(account=_row_of(account), actor=actor, now=now)
        credentials.rotate(
            account_id=stored.pk,
            api_key=account.api_key,
            api_secret=account.api_secret,
            actor=actor,
            reason=REASON,
            now=now,
        )
        if held is None and not account.active:
            health.cordon(account_id=stored.pk, reason=INACTIVE, actor=actor, now=now)
    except PlatformError as error:
        raise DumpRefused(f"row {account.row}, {error.field or 'account_id'}: {error}") from error
    return "new"


def _row_of(account: OldAccount) -> BrokerAccount:
    return BrokerAccount(label=account.label, broker_user_id=account.broker_user_id, streams_data=account.streams_data)


def _differences(account: OldAccount) -> list[Trouble]:
    held = BrokerAccount.objects.filter(label=account.label, broker_user_id=account.broker_user_id).first()
    credential = None if held is None else current_credential(account_id=held.pk)
    if credential is None:
        return [Trouble(account.row, "account_id", "is not here, or has no credential")]
    differing = []
    if credential.api_key != account.api_key:
        differing.append("api_key")
    if credential.api_secret != account.api_secret:
        differing.append("api_secret")
    return [Trouble(account.row, name, "differs from what is stored here") for name in differing]
