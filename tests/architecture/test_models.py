"""Rules of the models that no linter knows."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import models
from rest_framework import serializers

from accounts.fields import SealedField
from tests.architecture.sources import APPS

Key = models.ForeignKey[Any, Any]
FLOORS = {name: floor for floor, name in enumerate(reversed(APPS))}


def own_models() -> list[type[models.Model]]:
    """Return the models of our apps."""
    return [model for model in apps.get_models() if model._meta.app_label in FLOORS]


def cross_app_keys() -> Iterator[tuple[str, Key]]:
    """Yield the foreign keys that leave their app for another of ours."""
    for model in own_models():
        for field in model._meta.get_fields():
            if isinstance(field, models.ForeignKey) and _leaves(model, field):
                yield f"{model._meta.label}.{field.name}", field


def _leaves(model: type[models.Model], field: Key) -> bool:
    target = field.related_model._meta.app_label
    return target in FLOORS and target != model._meta.app_label


def test_keys_between_apps_point_down() -> None:
    up = [
        name
        for name, field in cross_app_keys()
        if FLOORS[field.related_model._meta.app_label] >= FLOORS[field.model._meta.app_label]
    ]

    assert up == []


def test_keys_between_apps_leave_no_way_back() -> None:
    named = [name for name, field in cross_app_keys() if field.remote_field.related_name != "+"]

    assert named == []


def test_keys_between_apps_protect_what_they_point_at() -> None:
    loose = [name for name, field in cross_app_keys() if field.remote_field.on_delete is not models.PROTECT]

    assert loose == []


@pytest.mark.parametrize("model", own_models(), ids=lambda model: model._meta.label)
def test_a_model_imposes_no_order_and_overrides_no_save(model: type[models.Model]) -> None:
    assert model.__name__ == "User" or not model._meta.ordering
    assert "save" not in vars(model)


def test_no_serializer_shows_a_sealed_field() -> None:
    sealed = {
        field.name for model in own_models() for field in model._meta.get_fields() if isinstance(field, SealedField)
    }
    readable = [
        f"{serializer.__module__}.{serializer.__name__}.{name}"
        for serializer in _subclasses(serializers.Serializer)
        if serializer.__module__.split(".")[0] in APPS
        for name, field in serializer._declared_fields.items()
        if name in sealed and not field.write_only
    ]

    assert readable == []


def test_no_admin_page_shows_a_sealed_field() -> None:
    shown = []
    for model, page in admin.site._registry.items():
        sealed = {field.name for field in model._meta.get_fields() if isinstance(field, SealedField)}
        listed = {str(name) for name in page.list_display} | {str(name) for name in page.readonly_fields}
        fields = set(page.fields or ()) | listed
        shown += [f"{model._meta.label}.{name}" for name in sealed & fields]
        if sealed:
            assert page.fields or page.exclude or page.fieldsets, f"{model._meta.label} names no fields"

    assert shown == []


def _subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)
