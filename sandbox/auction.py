"""The opening auction: one price for all, the one at which most can trade."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.book import Book, Offer


def equilibrium(*, bids: Iterable[Offer], asks: Iterable[Offer], near: int) -> int | None:
    """Return the price with the largest volume, then the smallest imbalance, then nearest to `near`; None: no trade."""
    buyers, sellers = list(bids), list(asks)
    best: tuple[int, int, int, int] | None = None
    for price in {offer.price for offer in (*buyers, *sellers)}:
        demand = sum(offer.quantity for offer in buyers if offer.price >= price)
        supply = sum(offer.quantity for offer in sellers if offer.price <= price)
        rank = (-min(demand, supply), abs(demand - supply), abs(price - near), price)
        best = rank if best is None else min(best, rank)
    return None if best is None or best[0] == 0 else best[3]


def pairs(book: Book, *, price: int) -> Iterable[tuple[Offer, Offer, int]]:
    """Yield who trades with whom at `price` and how much, best and oldest first; the taker settles each pair."""
    buyers = [offer for offer in book.bids.offers() if offer.price >= price]
    sellers = [offer for offer in book.asks.offers() if offer.price <= price]
    while buyers and sellers:
        quantity = min(buyers[0].quantity, sellers[0].quantity)
        if quantity > 0:
            yield buyers[0], sellers[0], quantity
        buyers = buyers[buyers[0].quantity == 0 :]
        sellers = sellers[sellers[0].quantity == 0 :]
