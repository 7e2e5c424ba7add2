"""One family, one address: what the rules allow to be shared, and with whom."""

from collections.abc import Sequence
from uuid import UUID

from accounts.addresses import RegisteredAddress
from accounts.errors import AddressRefused


def refuse_sharing(*, account_id: UUID, group_id: int | None, addresses: Sequence[str] | None = None) -> None:
    """Raise AddressRefused where an account of another family, or of none, registered one of the addresses.

    Without `addresses` those the account has now are looked at: for a change of its group.
    """
    mine = RegisteredAddress.objects.filter(account_id=account_id).values_list("address", flat=True)
    wanted = list(mine) if addresses is None else addresses
    others = RegisteredAddress.objects.filter(address__in=wanted).exclude(account_id=account_id)
    for row in others.select_related("account").order_by("id"):
        if group_id is None or row.account.group_id != group_id:
            raise AddressRefused(
                f"{row.address} is registered for {row.account.label}: an address is shared inside one family alone",
                field="addresses",
            )
