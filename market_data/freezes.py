"""Quantities above which an exchange freezes an order: a row for each underlying, carried to every contract of it.

The broker's dump has none. The exchanges publish them almost monthly (NSE: file `qtyfreeze`, columns SYMBOL and
VOL_FRZ_QTY, in units of the underlying); people keep them in the admin or load the file.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.core.validators import MinValueValidator
from django.db import connection, models, transaction

from accounts.audit import record, required
from market_data.errors import FreezeFileRefused

SYMBOL, QUANTITY = "SYMBOL", "VOL_FRZ_QTY"
CARRY = """
UPDATE market_data_instrument i SET freeze_quantity = f.quantity FROM market_data_freezequantity f
WHERE i.exchange = f.exchange AND i.name = f.name AND i.expiry IS NOT NULL AND i.listed
    AND i.freeze_quantity IS DISTINCT FROM f.quantity
"""


class FreezeQuantity(models.Model):
    """The quantity of one order above which an exchange freezes it, for every contract of an underlying."""

    exchange = models.CharField(max_length=10)
    name = models.CharField(max_length=120, help_text="Underlying as the instruments name it: NIFTY.")
    quantity = models.PositiveIntegerField(
        validators=[MinValueValidator(1)], help_text="In units, not lots, as the exchange publishes it."
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["exchange", "name"], name="freeze_quantity_once"),
            models.CheckConstraint(condition=models.Q(quantity__gte=1), name="freeze_quantity_is_positive"),
        ]
        verbose_name_plural = "freeze quantities"

    def __str__(self) -> str:
        return f"{self.exchange}:{self.name} {self.quantity}"


@dataclass(frozen=True, slots=True)
class FreezeReport:
    """What a load changed: rows that are new or say something else, and contracts that follow them."""

    read: int
    new: int
    changed: int
    contracts: int


def carry() -> int:
    """Carry the quantities to the listed contracts and return how many changed."""
    with connection.cursor() as cursor:
        cursor.execute(CARRY)
        changed: int = cursor.rowcount
    return changed


def load(*, exchange: str, quantities: Mapping[str, int], actor: str, reason: str, now: datetime) -> FreezeReport:
    """Keep the quantities of an exchange's underlyings; those not named stay."""
    with transaction.atomic():
        held = dict(FreezeQuantity.objects.filter(exchange=exchange).values_list("name", "quantity"))
        other = {name: quantity for name, quantity in quantities.items() if held.get(name) != quantity}
        rows = [FreezeQuantity(exchange=exchange, name=name, quantity=each) for name, each in other.items()]
        FreezeQuantity.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["exchange", "name"],
            update_fields=["quantity", "updated_at"],
        )
        contracts = carry()
        record(
            actor=actor,
            action="market_data.freezequantity.loaded",
            subject=f"freezequantity:{exchange}",
            reason=required(reason),
            detail={name: str(quantity) for name, quantity in sorted(other.items())[:200]},
            now=now,
        )
    new = len(other.keys() - held.keys())
    return FreezeReport(read=len(quantities), new=new, changed=len(other) - new, contracts=contracts)


def read_file(text: str) -> dict[str, int]:
    """Return the quantity of each underlying; raises FreezeFileRefused, naming the line that cannot be read."""
    rows = csv.reader(io.StringIO(text))
    head = [word.strip().upper() for word in next(rows, [])]
    if SYMBOL not in head or QUANTITY not in head:
        raise FreezeFileRefused(f"line 1 has no columns {SYMBOL} and {QUANTITY}", field="file")
    found = dict(_rows(rows, symbol=head.index(SYMBOL), quantity=head.index(QUANTITY)))
    if not found:
        raise FreezeFileRefused("the file has no line below its head", field="file")
    return found


def _rows(rows: Iterator[list[str]], *, symbol: int, quantity: int) -> Iterator[tuple[str, int]]:
    for number, row in enumerate(rows, start=2):
        if not any(word.strip() for word in row):
            continue
        try:
            name, each = row[symbol].strip(), int(row[quantity].replace(",", "").strip())
        except (IndexError, ValueError):
            raise FreezeFileRefused(f"line {number}: {QUANTITY} is no whole number", field="file") from None
        if not name or not 0 < each < 2**31:
            raise FreezeFileRefused(f"line {number}: no underlying, or a quantity of {each}", field="file")
        yield name, each
