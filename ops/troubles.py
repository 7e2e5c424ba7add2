"""The last thing that went wrong with each account: a refused order, books that cannot be read, a socket that broke."""

from collections.abc import Iterator
from datetime import date, datetime

from accounts.models import BrokerAccount
from ops.standing import Trouble
from ops.state import AccountFeed
from orders.models import Order
from orders.readings import BookReading
from orders.states import State

REFUSED = (State.REJECTED, State.REJECTED_RMS)


class Troubles:
    """What one look found, asked once for all accounts."""

    def __init__(self, *, day: date) -> None:
        refused = Order.objects.filter(trading_day=day, state__in=REFUSED, finished_at__isnull=False)
        self._refused = {
            row.account_id: row
            for row in refused.order_by("account_id", "-finished_at")
            .distinct("account_id")
            .only("account_id", "status_message", "reason", "finished_at")
        }
        self._unread = {row.account_id: row for row in BookReading.objects.exclude(error="")}

    def of(self, account: BrokerAccount, *, feed: AccountFeed | None) -> Trouble | None:
        """Return the youngest trouble of the account, None where there is none; one without a time is going on."""
        found = list(self._all(account, feed=feed))
        return max(found, key=_age_key, default=None)

    def _all(self, account: BrokerAccount, *, feed: AccountFeed | None) -> Iterator[Trouble]:
        order, book = self._refused.get(account.pk), self._unread.get(account.pk)
        if order is not None:
            yield Trouble(text=f"order refused: {order.status_message or order.reason}", at=order.finished_at)
        if book is not None:
            yield Trouble(text=f"books not read: {book.error}")
        if account.state_reason:
            yield Trouble(text=account.state_reason, at=account.state_changed_at)
        if feed is not None and not feed.open:
            yield Trouble(text=f"feed {feed.state}", at=feed.last_frame_at)


def _age_key(trouble: Trouble) -> float:
    return float("inf") if trouble.at is None else trouble.at.timestamp()


def oldest_reading() -> datetime | None:
    """Return when the account whose books were read longest ago was read."""
    trading = BookReading.objects.filter(account__places_orders=True, account__state=BrokerAccount.State.ACTIVE)
    at: datetime | None = trading.order_by("read_at").values_list("read_at", flat=True).first()
    return at
