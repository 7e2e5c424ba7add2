"""The account matrix: one row an account, with what is wrong with it and what may be done to it."""

from collections.abc import Mapping
from datetime import date, datetime
from uuid import UUID

from django.urls import reverse

from accounts.models import BrokerAccount, Credential, TradingHalt
from accounts.queries import current_credentials
from ops import address, money, reins
from ops.state import AccountFeed, AccountOrders, AccountRow, BudgetPart, Halt, Token
from ops.troubles import Troubles
from orders.budget import remaining
from orders.models import OrderBudget

State = BrokerAccount.State


def read(
    *,
    now: datetime,
    day: date,
    feeds: Mapping[str, AccountFeed],
    orders: Mapping[UUID, AccountOrders],
    halts: tuple[Halt, ...],
    bus_answers: bool,
) -> dict[str, AccountRow]:
    """Return the rows by label; retired accounts are left out."""
    accounts = BrokerAccount.objects.exclude(state=State.RETIRED).select_related("group").order_by("label")
    credentials = current_credentials(accounts=accounts)
    budgets = {row.account_id: row for row in OrderBudget.objects.all()}
    purses, addresses = money.by_account(), address.by_account()
    held = reins.read(credentials=list(credentials.values()), now=now) if bus_answers else reins.Reins({}, {})
    troubles = Troubles(day=day)
    over = {halt.target: halt for halt in halts if halt.scope == TradingHalt.Scope.ACCOUNT}
    return {
        account.label: AccountRow(
            id=str(account.pk),
            label=account.label,
            broker_user_id=account.broker_user_id,
            state=account.state,
            state_reason=account.state_reason,
            recovers_at=account.recovers_at,
            streams_data=account.streams_data,
            places_orders=account.places_orders,
            token=token_of(credential=credentials.get(account.pk), now=now),
            feed=feeds.get(str(account.pk)),
            orders=orders.get(account.pk, AccountOrders()),
            budget=budget_of(row=budgets.get(account.pk) or OrderBudget(account=account), now=now, day=day),
            halt=over.get(account.label),
            verbs=verbs_of(account=account, halted=account.label in over),
            login_url=reverse("kite-login", args=[account.label]),
            rotate_url=rotate_url(account),
            egress_fault=account.egress_fault,
            group=account.group.name if account.group else "",
            money=purses.get(account.pk),
            address=addresses.get(account.pk),
            data_budget=held.budgets.get(str(account.pk), ()),
            rests=held.rests.get(str(account.pk), ()),
            trouble=troubles.of(account, feed=feeds.get(str(account.pk))),
        )
        for account in accounts
    }


def token_of(*, credential: Credential | None, now: datetime) -> Token:
    """Return what is known of the token without opening it."""
    if credential is None:
        return Token(live=False, note="no API key yet: rotate one in", version=None, expires_at=None)
    live = credential.is_live(now=now)
    note = "" if live else "log in at the broker"
    return Token(live=live, note=note, version=credential.version, expires_at=credential.token_expires_at)


def budget_of(*, row: OrderBudget, now: datetime, day: date) -> tuple[BudgetPart, ...]:
    """Return the order calls used in each window."""
    limits = row.limits
    left = remaining(spent=row.spent, limits=limits, at=now.timestamp(), day=day)
    allowed = {"second": limits.burst, "minute": limits.per_minute, "day": limits.per_day}
    return tuple(BudgetPart(window=name, used=limit - left[name], limit=limit) for name, limit in allowed.items())


def verbs_of(*, account: BrokerAccount, halted: bool) -> tuple[str, ...]:
    """Return the Desk's verbs that make sense for the account now."""
    verbs = []
    if account.state != State.ACTIVE:
        verbs.append("restore")
    elif account.streams_data:
        verbs.append("fail_over")
    if account.state == State.ACTIVE:
        verbs.append("drain")
    if account.places_orders:
        verbs += ["reconcile", "resume" if halted else "halt", "flatten"]
    return tuple(verbs)


def rotate_url(account: BrokerAccount) -> str:
    """Return the admin page that gives the account a new API key and secret."""
    return reverse("admin:accounts_brokeraccount_rotate", args=[account.pk])
