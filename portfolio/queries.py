"""Which accounts a question about the portfolio is about."""

from uuid import UUID

from accounts.models import BrokerAccount
from accounts.queries import Principal, account_by_label, visible_accounts
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


def visible_instruction(*, principal: Principal, instruction_id: UUID) -> Instruction:
    """Return the instruction; raises InstructionUnknown where it is absent or about another's account."""
    found = Instruction.objects.select_related("account").filter(pk=instruction_id).first()
    if found is None or not principal.sees(found.account_id):
        raise InstructionUnknown(f"no instruction {instruction_id}", field="id")
    return found
