"""Which accounts a question about the portfolio is about."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Sum

from accounts.models import BrokerAccount
from accounts.queries import Principal, account_by_label, visible_accounts
from kite.types import TransactionType
from orders.models import Trade
from portfolio.errors import GroupUnknown, InstructionUnknown
from portfolio.models import Instruction


def accounts_of(*, principal: Principal, account: str | None, group: str | None) -> list[BrokerAccount]:
    """Return the one account, the group's accounts or every account the caller may see, by label.

    Raises AccountUnknown or GroupUnknown; retired accounts belong to no group reading.
    """
    if account is not None:
        return [account_by_label(label=account, principal=principal)]
    accounts = visible_accounts(principal).exclude(state=BrokerAccount.State.RETIRED)
    if group is None:
        return list(accounts)
    found = list(accounts.filter(group__name=group))
    if not found:
        raise GroupUnknown(f"no group {group} with an account of yours", field="group")
    return found


def strategy_shares(*, accounts: Sequence[BrokerAccount]) -> dict[tuple[str, int], dict[str, float]]:
    """Return what each strategy traded net, by account label and instrument token, in the broker's quantities."""
    rows = (
        Trade.objects.filter(account__in=accounts)
        .exclude(order__strategy="")
        .values_list("account__label", "instrument_token", "order__strategy", "transaction_type")
        .annotate(quantity=Sum("quantity"))
    )
    found: dict[tuple[str, int], dict[str, float]] = {}
    for label, token, strategy, side, quantity in rows:
        mine = found.setdefault((label, token), {})
        mine[strategy] = mine.get(strategy, 0.0) + (quantity if side == TransactionType.BUY else -quantity)
    return found


def visible_instruction(*, principal: Principal, instruction_id: UUID) -> Instruction:
    """Return the instruction; raises InstructionUnknown where it is absent or about another's account."""
    found = Instruction.objects.select_related("account").filter(pk=instruction_id).first()
    if found is None or not principal.sees(found.account_id):
        raise InstructionUnknown(f"no instruction {instruction_id}", field="id")
    return found
