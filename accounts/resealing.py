"""Moves every sealed value to the key that seals now: online, in batches, and again from wherever it stopped."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.audit import record
from accounts.fields import sealed_fields
from accounts.models import Credential
from accounts.vault import installed

BATCH: Final = 50
FIELDS: Final = tuple(sealed_fields(Credential))


def keys_in_use() -> Counter[str]:
    """Return how many sealed values need each key."""
    return Counter(key for row in _rows().iterator() for key in _keys(row))


def open_all() -> int:
    """Open every sealed value and return how many there are; raises SealBroken at the first that does not open."""
    return sum(getattr(row, field.attname) is not None for row in _rows().iterator() for field in FIELDS)


def begin(*, actor: str, now: datetime) -> str:
    """Return the key to move to: a new one, unless an earlier move has not ended."""
    provider = installed.provider()
    before = provider.writing_key_id()
    if keys_in_use().keys() - {before}:
        return before
    after = provider.add_key(now=now)
    with transaction.atomic():
        record(
            actor=actor,
            action="accounts.key_ring.key_added",
            subject=f"key:{after}",
            detail={"before": before},
            now=now,
        )
    return after


def reseal(*, advance: Callable[[int], None]) -> int:
    """Seal again what needs another key than the writing one; `advance` hears of every batch."""
    writing = installed.provider().writing_key_id()
    behind = [row.pk for row in _rows().iterator() if set(_keys(row)) - {writing}]
    for start in range(0, len(behind), BATCH):
        batch = behind[start : start + BATCH]
        _reseal_batch(batch, writing)
        advance(len(batch))
    return len(behind)


def drop_unused(*, actor: str, now: datetime) -> list[str]:
    """Take keys that no value needs out of the provider and return their ids; older backups need them."""
    provider = installed.provider()
    unused = sorted(set(provider.key_ids()) - keys_in_use().keys() - {provider.writing_key_id()})
    for key_id in unused:
        provider.drop_key(key_id=key_id)
        with transaction.atomic():
            record(actor=actor, action="accounts.key_ring.key_dropped", subject=f"key:{key_id}", now=now)
    return unused


def _reseal_batch(primary_keys: Iterable[object], writing: str) -> None:
    with transaction.atomic():
        rows = _rows().filter(pk__in=list(primary_keys)).select_for_update(no_key=True)
        for row in rows:
            stale = [field.attname for field in FIELDS if field.key_id(instance=row) not in {None, writing}]
            for name in stale:
                # A newly assigned secret is sealed at the save.
                setattr(row, name, getattr(row, name))
            row.save(update_fields=stale)


def _rows() -> QuerySet[Credential]:
    held = Q(*((f"{field.name}__isnull", False) for field in FIELDS), _connector=Q.OR)
    return Credential.objects.filter(held).order_by("pk")


def _keys(row: Credential) -> Iterator[str]:
    for field in FIELDS:
        if key := field.key_id(instance=row):
            yield key
