"""Moves every sealed value to the key that seals now: online, in batches, and again from wherever it stopped."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from django.apps import apps
from django.db import transaction
from django.db.models import Model, Q, QuerySet

from accounts.audit import record
from accounts.fields import sealed_fields
from accounts.vault import installed

BATCH: Final = 50


def keys_in_use() -> Counter[str]:
    """Return how many sealed values need each key."""
    return Counter(key for model in _models() for row in _rows(model).iterator() for key in _keys(row))


def open_all() -> int:
    """Open every sealed value and return how many there are; raises SealBroken at the first that does not open."""
    return sum(
        getattr(row, field.attname) is not None
        for model in _models()
        for row in _rows(model).iterator()
        for field in sealed_fields(model)
    )


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
    return sum(_reseal_model(model, writing, advance) for model in _models())


def drop_unused(*, actor: str, now: datetime) -> list[str]:
    """Take keys that no value needs out of the provider and return their ids; older backups need them."""
    provider = installed.provider()
    unused = sorted(set(provider.key_ids()) - keys_in_use().keys() - {provider.writing_key_id()})
    for key_id in unused:
        provider.drop_key(key_id=key_id)
        with transaction.atomic():
            record(actor=actor, action="accounts.key_ring.key_dropped", subject=f"key:{key_id}", now=now)
    return unused


def _models() -> list[type[Model]]:
    """Return every model of the platform that keeps something sealed: one that is forgotten loses it with the key."""
    return sorted((model for model in apps.get_models() if sealed_fields(model)), key=lambda model: model._meta.label)  # noqa: SLF001


def _reseal_model(model: type[Model], writing: str, advance: Callable[[int], None]) -> int:
    behind = [row.pk for row in _rows(model).iterator() if set(_keys(row)) - {writing}]
    for start in range(0, len(behind), BATCH):
        batch = behind[start : start + BATCH]
        _reseal_batch(model, batch, writing)
        advance(len(batch))
    return len(behind)


def _reseal_batch(model: type[Model], primary_keys: Iterable[object], writing: str) -> None:
    with transaction.atomic():
        rows = _rows(model).filter(pk__in=list(primary_keys)).select_for_update(no_key=True)
        for row in rows:
            stale = [
                field.attname for field in sealed_fields(model) if field.key_id(instance=row) not in {None, writing}
            ]
            for name in stale:
                # A newly assigned secret is sealed at the save.
                setattr(row, name, getattr(row, name))
            row.save(update_fields=stale)


def _rows(model: type[Model]) -> QuerySet[Any]:
    held = Q(*((f"{field.name}__isnull", False) for field in sealed_fields(model)), _connector=Q.OR)
    return model._default_manager.filter(held).order_by("pk")  # noqa: SLF001 (documented by Django)


def _keys(row: Model) -> Iterator[str]:
    for field in sealed_fields(type(row)):
        if key := field.key_id(instance=row):
            yield key
