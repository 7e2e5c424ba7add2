"""Price-time matching of the users' orders against the shown market and against each other."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.auction import equilibrium, pairs
from sandbox.book import Book, Offer
from sandbox.market import Market
from sandbox.orders import Order

OnFill = Callable[[Order, int, int], None]


class Matcher:
    """Owns who waits where; tells `on_fill(order, quantity, price_units)` of every execution."""

    def __init__(self, *, market: Market, on_fill: OnFill) -> None:
        self.market = market
        self.on_fill = on_fill
        self.books: dict[int, Book] = {}

    def units(self, *, order: Order, price: float) -> int:
        return round(price * int(self.market.divisor[order.row]))

    def add_stop(self, order: Order) -> None:
        self._book(order.row).stops.append(order)

    def place(self, order: Order, *, rest: bool) -> None:
        """Execute an incoming order as far as the book allows and, with `rest`, queue what is left."""
        book = self._book(order.row)
        limit = self.units(order=order, price=order.price)
        for offer in book.opposite(order).offers():
            beyond = offer.price > limit if order.is_buy else offer.price < limit
            if order.pending == 0 or beyond:
                break
            quantity = min(order.pending, offer.quantity)
            self._take(offer, quantity, offer.price)
            self._fill(order, quantity, offer.price)
        if rest and order.pending > 0:
            order.queue_ahead = book.own(order).quantity_at(limit)
            book.own(order).add(order, price=limit)
        self._settle(book)

    def collect(self, order: Order) -> None:
        """Queue an order of the pre-open: nothing trades before the auction."""
        book = self._book(order.row)
        book.own(order).add(order, price=self.units(order=order, price=order.price))
        self._settle(book)

    def indicate(self, row: int) -> None:
        """Show the price at which what has been collected would match now, as the last price."""
        book = self.books[row]
        book.load(self.market)
        price = equilibrium(bids=book.bids.offers(), asks=book.asks.offers(), near=int(self.market.last[row]))
        if price is not None:
            self.market.last[row] = price
        self._settle(book)

    def auction(self, row: int) -> int | None:
        """Match what was collected against the opening market at one price and return it."""
        book = self.books[row]
        book.load(self.market)
        price = equilibrium(bids=book.bids.offers(), asks=book.asks.offers(), near=int(self.market.last[row]))
        if price is not None:
            for buyer, seller, quantity in pairs(book, price=price):
                self._take(buyer, quantity, price)
                self._take(seller, quantity, price)
        self._settle(book)
        return price

    def _take(self, offer: Offer, quantity: int, price: int) -> None:
        if offer.level is not None:
            offer.level.quantity -= quantity
        if offer.order is not None:
            self._fill(offer.order, quantity, price)

    def remove(self, order: Order) -> None:
        book = self.books.get(order.row)
        if book is None:
            return
        book.own(order).remove(order)
        book.stops = [stop for stop in book.stops if stop is not order]
        self._settle(book)

    def sweep(self, row: int) -> None:
        """After a tick: fill what the market moved through or traded at."""
        book = self.books[row]
        book.load(self.market)
        last, traded = int(self.market.last[row]), int(self.market.last_quantity[row])
        for order in book.waiting():
            self._cross(book, order)
            traded = self._follow_trade(order, last, traded)
        self._settle(book)

    def due_stops(self, row: int) -> list[Order]:
        """Take out the stop orders whose trigger the last price has reached."""
        book = self.books[row]
        last = int(self.market.last[row])
        due = [stop for stop in book.stops if self._triggered(stop, last)]
        book.stops = [stop for stop in book.stops if stop not in due]
        self._settle(book)
        return due

    def _triggered(self, stop: Order, last: int) -> bool:
        trigger = self.units(order=stop, price=stop.trigger_price)
        return last >= trigger if stop.is_buy else last <= trigger

    def _book(self, row: int) -> Book:
        book = self.books.get(row)
        if book is None:
            book = self.books[row] = Book(row)
            book.load(self.market)
            self.market.pinned[row] = True
        return book

    def _cross(self, book: Book, order: Order) -> None:
        """Let newly shown quotes hit a waiting order at the order's own price."""
        limit = self.units(order=order, price=order.price)
        for level in book.opposite(order).levels:
            reaches = level.price <= limit if order.is_buy else level.price >= limit
            quantity = min(order.pending, level.quantity)
            if reaches and quantity > 0:
                level.quantity -= quantity
                self._fill(order, quantity, limit)

    def _follow_trade(self, order: Order, last: int, traded: int) -> int:
        """Let the interval's trade work through the queue at the order's price; return what is left of it."""
        limit = self.units(order=order, price=order.price)
        through = last < limit if order.is_buy else last > limit
        if order.pending == 0 or traded == 0 or not (through or last == limit):
            return traded
        if through:
            order.queue_ahead = 0
        passed = min(traded, order.queue_ahead)
        order.queue_ahead -= passed
        quantity = min(order.pending, traded - passed)
        self._fill(order, quantity, limit)
        return traded - passed - quantity

    def _fill(self, order: Order, quantity: int, price: int) -> None:
        if quantity > 0:
            self.on_fill(order, quantity, price)

    def _settle(self, book: Book) -> None:
        book.bids.drop_done()
        book.asks.drop_done()
        book.show(self.market)
        if book.is_empty():
            self.books.pop(book.row, None)
            self.market.pinned[book.row] = False
