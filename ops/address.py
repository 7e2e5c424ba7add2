"""Where each account's orders leave from, as last seen, against what is registered."""

from collections.abc import Mapping
from uuid import UUID

from accounts.addresses import EgressCheck, RegisteredAddress
from ops.standing import Address


def by_account() -> Mapping[UUID, Address]:
    """Return the accounts that have a registered address, with the latest observation."""
    registered: dict[UUID, list[str]] = {}
    for account_id, address in RegisteredAddress.objects.order_by("address").values_list("account_id", "address"):
        registered.setdefault(account_id, []).append(address)
    if not registered:
        return {}
    looks = EgressCheck.objects.filter(account__in=registered).order_by("account_id", "-at").distinct("account_id")
    seen = {row.account_id: row for row in looks}
    return {key: _address(addresses, seen.get(key)) for key, addresses in registered.items()}


def _address(registered: list[str], seen: EgressCheck | None) -> Address:
    if seen is None:
        return Address(registered=tuple(registered))
    return Address(registered=tuple(registered), observed=seen.observed or "", verdict=seen.verdict, at=seen.at)
