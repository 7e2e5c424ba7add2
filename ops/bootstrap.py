"""What a first start makes of an empty database, and every later start confirms: each step may run again."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.request import Request, urlopen

from accounts import credentials
from accounts.authentication import issue_api_key
from accounts.models import ApiKey, BrokerAccount, Credential, User
from accounts.queries import READING, current_credential, login_for, login_of
from accounts.sessions import Sessions
from kite.errors import SessionExpired
from kite.types import Login, Mode
from market_data import freezes
from market_data.catalogue import SyncReport, sync
from market_data.freezes import FreezeQuantity
from market_data.models import Instrument, Subscription
from market_data.queries import chain_instruments, expiries, futures, index_instrument, listed
from market_data.subscriptions import wish
from ops.login_walk import walk
from ops.stack.installation import write_private
from orders.clock import trading_day

ACTOR = "bootstrap"
REASON = "first start"
KEY_NAME = "first steps"
KEY_SCOPES = READING | {"market:write", "orders:write", "ops:read"}
KEY_LIFE = timedelta(days=90)
# A key that would die on the first day is not worth printing.
KEY_SPARE = timedelta(days=1)
CHAINS = ("NIFTY", "BANKNIFTY")
STRIKES_EACH_SIDE = 20
STREAMED = 500
EXCHANGE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One user of the sandbox exchange, as its credentials file names him."""

    user_id: str
    api_key: str
    api_secret: str
    password: str

    @property
    def label(self) -> str:
        """The label of the account that stands for him."""
        return self.user_id.lower()

    def is_held(self, held: Credential | None) -> bool:
        """Say whether a credential is this user's."""
        return held is not None and held.api_key == self.api_key and held.api_secret.reveal() == self.api_secret


def customers_of(path: Path) -> list[Customer]:
    """Return the users of a credentials file."""
    rows = json.loads(path.read_text())["users"]
    names = ("user_id", "api_key", "api_secret", "password")
    return [Customer(**{name: row[name] for name in names}) for row in rows]


def outlook(*, admin: str, customers: Sequence[Customer], key_file: Path, now: datetime) -> dict[str, str]:
    """Return what each step would do, by its name; asks nobody and changes nothing."""
    person = User.objects.filter(username=admin).first()
    steps = {"administrator": f"{admin} {'was there' if person else 'made'}"}
    for customer in customers:
        account = BrokerAccount.objects.filter(broker_user_id=customer.user_id).first()
        held = current_credential(account_id=account.pk) if account else None
        live = held is not None and held.is_live(now=now)
        credential = "kept" if customer.is_held(held) else "sealed"
        steps[customer.label] = f"credential {credential}, {'token tried' if live else 'logged in'}"
    if customers:
        steps["instruments"] = "today's are loaded" if _instruments_are_fresh(now=now) else "loaded from the exchange"
        steps["freeze quantities"] = "kept" if FreezeQuantity.objects.exists() else "loaded from the exchange"
        steps["subscriptions"] = "chains and shares wanted"
    known = person is not None and _is_usable(_known_key(key_file), admin=person, now=now)
    steps["API key"] = f"{'kept' if known else 'issued'} in {key_file}"
    return steps


def ensure_admin(*, name: str, password: str) -> tuple[User, bool]:
    """Return the administrator and whether he was made now; a password that somebody changed is left alone."""
    found = User.objects.filter(username=name).first()
    if found is not None:
        return found, False
    made = User.objects.create_superuser(name, password=password, role=User.Role.ADMINISTRATOR, every_account=True)
    return made, True


def ensure_account(*, customer: Customer, now: datetime) -> tuple[BrokerAccount, bool]:
    """Return the customer's account and whether its credential was written now."""
    account, _ = BrokerAccount.objects.get_or_create(
        broker_user_id=customer.user_id, defaults={"label": customer.label}
    )
    held = current_credential(account_id=account.pk)
    if customer.is_held(held):
        return account, False
    credentials.rotate(
        account_id=account.pk,
        api_key=customer.api_key,
        api_secret=customer.api_secret,
        actor=ACTOR,
        reason=REASON,
        now=now,
    )
    return account, True


def ensure_login(*, account: BrokerAccount, customer: Customer, admin: User, sessions: Sessions, now: datetime) -> bool:
    """Log the account in through the login page unless its token works; return whether it was needed.

    Raises LoginFailed for a page that is not on this machine.
    """
    if _token_works(account, sessions=sessions, now=now):
        return False
    state = credentials.login_state(account=account, user_id=admin.pk)
    token = walk(
        url=credentials.login_url(account=account, state=state),
        answers={"user_id": customer.user_id, "password": customer.password},
    )
    credentials.complete_login(account_id=account.pk, request_token=token, actor=ACTOR, now=now)
    return True


def _token_works(account: BrokerAccount, *, sessions: Sessions, now: datetime) -> bool:
    held = current_credential(account_id=account.pk)
    if held is None or not held.is_live(now=now):
        return False
    try:
        sessions.client(login_for(account_id=account.pk, now=now)).profile()
    except SessionExpired as error:
        credentials.expire_token(account_id=account.pk, version=held.version, now=now, reason=str(error))
        return False
    return True


def _reader(*, now: datetime) -> Login:
    """Return a login to read with. After a crash every account may be degraded, and reading is still allowed."""
    live = Credential.objects.filter(current=True, access_token__isnull=False, token_expires_at__gt=now)
    return login_of(live.select_related("account").order_by("account__label")[0])


def ensure_instruments(*, sessions: Sessions, now: datetime) -> SyncReport | None:
    """Load the instruments unless today's are there; None says that they were."""
    if _instruments_are_fresh(now=now):
        return None
    return sync(dump=sessions.client(_reader(now=now)).instruments(), now=now)


def _instruments_are_fresh(*, now: datetime) -> bool:
    newest = listed().order_by("-synced_at").values_list("synced_at", flat=True).first()
    return newest is not None and trading_day(newest) == trading_day(now)


def ensure_freezes(*, credentials_file: Path, now: datetime) -> int | None:
    """Load what the sandbox exchange freezes, unless something is known; return how many underlyings, or None."""
    if FreezeQuantity.objects.exists():
        return None
    known = json.loads(credentials_file.read_text())
    asking = Request(f"{known['control_url']}/freezes", headers={"X-Control-Key": known["control_key"]})  # noqa: S310
    with urlopen(asking, timeout=EXCHANGE_SECONDS) as answer:  # noqa: S310 (the exchange that the file names)
        found: dict[str, dict[str, int]] = json.load(answer)["data"]
    for exchange, quantities in found.items():
        freezes.load(exchange=exchange, quantities=quantities, actor=ACTOR, reason=REASON, now=now)
    return sum(map(len, found.values()))


def ensure_wishes(*, sessions: Sessions, now: datetime) -> dict[str, int]:
    """Want the default instruments in the modes that suit them; return how many of each mode.

    In full: indices, and of each chain two futures and the nearest options around the spot. As quotes: shares, those
    with derivatives first.
    """
    wide = {row.pk: row for row in [*_indices(), *_derivatives(sessions=sessions, now=now)]}
    shares = {row.pk: row for row in _shares(STREAMED - len(wide)) if row.pk not in wide}
    for rows, mode in ((wide, Mode.FULL), (shares, Mode.QUOTE)):
        wish(instruments=list(rows.values()), mode=mode, wanted_by=ACTOR, reason=REASON, now=now)
    Subscription.objects.filter(wanted_by=ACTOR).exclude(instrument_id__in=[*wide, *shares]).delete()
    return {Mode.FULL.value: len(wide), Mode.QUOTE.value: len(shares)}


def _indices() -> list[Instrument]:
    return list(listed().filter(segment="INDICES").order_by("exchange", "tradingsymbol"))


def _derivatives(*, sessions: Sessions, now: datetime) -> list[Instrument]:
    found: list[Instrument] = []
    indices = {name: str(index_instrument(name)) for name in CHAINS}
    spots = sessions.client(_reader(now=now)).ltp(indices.values())
    for name, index in indices.items():
        nearest = next((expiry for expiry in expiries(name=name) if expiry >= trading_day(now)), None)
        found += futures(name=name)[:2]
        if nearest is not None:
            found += around(
                rows=chain_instruments(name=name, expiry=nearest),
                spot=spots[index].last_price,
                each_side=STRIKES_EACH_SIDE,
            )
    return found


def around(*, rows: Sequence[Instrument], spot: Decimal, each_side: int) -> list[Instrument]:
    """Return the options of the strikes next to the spot."""
    strikes = sorted({row.strike for row in rows})
    middle = min(range(len(strikes)), key=lambda place: abs(strikes[place] - spot), default=0)
    kept = set(strikes[max(0, middle - each_side) : middle + each_side + 1])
    return [row for row in rows if row.strike in kept]


def _shares(count: int) -> Iterable[Instrument]:
    with_futures = listed().filter(exchange="NFO", instrument_type="FUT").values("name")
    shares = listed().filter(exchange="NSE", segment="NSE", instrument_type="EQ")
    first = list(shares.filter(tradingsymbol__in=with_futures).order_by("tradingsymbol")[: max(0, count)])
    others = shares.exclude(pk__in=[row.pk for row in first]).order_by("tradingsymbol")
    return [*first, *others[: max(0, count - len(first))]]


def ensure_key(*, path: Path, admin: User, account: str, now: datetime) -> bool:
    """Keep a usable API key in the file the welcome screen reads; return whether a new one was issued."""
    text = _known_key(path)
    fresh = not _is_usable(text, admin=admin, now=now)
    if fresh:
        _, text = issue_api_key(
            user=admin, name=KEY_NAME, scopes=KEY_SCOPES, accounts=None, expires_at=now + KEY_LIFE, now=now
        )
    document = {"admin_user": admin.get_username(), "account": account, "api_key": text}
    write_private(path=path, text=json.dumps(document, indent=2) + "\n")
    return fresh


def _known_key(path: Path) -> str:
    return str(json.loads(path.read_text()).get("api_key", "")) if path.exists() else ""


def _is_usable(text: str, *, admin: User, now: datetime) -> bool:
    parts = text.split("_", 3)
    if len(parts) != len(("tkr", "live", "prefix", "secret")):
        return False
    return ApiKey.objects.filter(prefix=parts[2], user=admin, revoked_at=None, expires_at__gt=now + KEY_SPARE).exists()
