"""Statements on whole rows whose text is made once: on the order path making it anew cost more than running it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.models import AutoField, Field, Model

Row = TypeVar("Row", bound=Model)


def prepared() -> Any:
    """Return a cursor whose statements the server plans once for each connection; use it as a context manager.

    Django's own cursors write the values into the text, so that every statement is planned anew.
    """
    link: Any = connection
    link.ensure_connection()
    cursor: Any = ServerBindingCursor
    return link._prepare_cursor(cursor(link.connection))  # noqa: SLF001 (wraps as connection.cursor() does)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a model, in the order of its fields."""

    text: str
    names: tuple[str, ...]
    readers: tuple[tuple[int, Callable[[Any, None, Any], Any]], ...]


def every(model: type[Row], condition: str, *parameters: object, along: str = "") -> list[Row]:
    """Return the rows of a model that meet the condition, which is everything after WHERE.

    `along` names a foreign key whose row is read beside each. A table is named by its own name.
    """
    with prepared() as cursor:
        cursor.execute(_selection(model, condition, along), parameters)
        return [_row(model, along, values) for values in cursor.fetchall()]


def first(model: type[Row], condition: str, *parameters: object, along: str = "") -> Row | None:
    """Return the first row that meets the condition, None where there is none."""
    with prepared() as cursor:
        cursor.execute(_selection(model, condition, along), parameters)
        values = cursor.fetchone()
    return None if values is None else _row(model, along, values)


def insert(row: Model) -> None:
    """Write a new row; a key that the database counts is set."""
    model = type(row)
    text, fields = _insertion(model)
    with prepared() as cursor:
        cursor.execute(text, [_stored(field, row, adding=True) for field in fields])
        if text.endswith("RETURNING id"):
            row.pk = cursor.fetchone()[0]
    row._state.adding, row._state.db = False, connection.alias  # noqa: SLF001 (as Django's own save does)


def update(row: Model, values: dict[str, object]) -> None:
    """Set columns of a row and write them; raises the model's DoesNotExist where the row is gone."""
    for name, value in values.items():
        setattr(row, name, value)
    text, fields = _alteration(type(row), tuple(values))
    with prepared() as cursor:
        cursor.execute(text, [*(_stored(field, row, adding=False) for field in fields), row.pk])
        if cursor.rowcount != 1:
            raise type(row).DoesNotExist(f"no row {row.pk} to update")  # type: ignore[attr-defined]


@cache
def _selection(model: type[Model], condition: str, along: str) -> str:
    table = _table(model)
    columns, join = _columns(model).text, ""
    if along:
        key: Any = model._meta.get_field(along)  # noqa: SLF001 (documented by Django)
        other = _table(key.related_model)
        columns = f"{columns}, {_columns(key.related_model).text}"
        join = f" JOIN {other} ON {other}.id = {table}.{key.column}"
    return f"SELECT {columns} FROM {table}{join} WHERE {condition}"  # noqa: S608 (no value in it)


def _row(model: type[Row], along: str, values: Sequence[object]) -> Row:
    count = len(_columns(model).names)
    row = _made(model, values[:count])
    if along:
        key: Any = model._meta.get_field(along)  # noqa: SLF001
        setattr(row, along, _made(key.related_model, values[count:]))
    return row


def _table(model: type[Model]) -> str:
    return str(model._meta.db_table)  # noqa: SLF001


@cache
def _columns(model: type[Model]) -> _Columns:
    fields = model._meta.concrete_fields  # noqa: SLF001
    return _Columns(
        text=", ".join(f'{_table(model)}."{field.column}"' for field in fields),
        names=tuple(field.attname for field in fields),
        readers=tuple(
            (place, field.from_db_value) for place, field in enumerate(fields) if hasattr(field, "from_db_value")
        ),
    )


@cache
def _insertion(model: type[Model]) -> tuple[str, tuple[Field[Any, Any], ...]]:
    every = model._meta.local_concrete_fields  # noqa: SLF001
    fields = tuple(field for field in every if not isinstance(field, AutoField))
    names = ", ".join(f'"{field.column}"' for field in fields)
    places = ", ".join(["%s"] * len(fields))
    counted = " RETURNING id" if len(fields) < len(every) else ""
    return f"INSERT INTO {_table(model)} ({names}) VALUES ({places}){counted}", fields  # noqa: S608


@cache
def _alteration(model: type[Model], names: tuple[str, ...]) -> tuple[str, tuple[Field[Any, Any], ...]]:
    meta = model._meta  # noqa: SLF001
    fields: tuple[Any, ...] = tuple(meta.get_field(name) for name in names)
    changes = ", ".join(f'"{field.column}" = %s' for field in fields)
    return f'UPDATE {_table(model)} SET {changes} WHERE "{meta.pk.column}" = %s', fields  # noqa: S608


def _stored(field: Field[Any, Any], row: Model, *, adding: bool) -> Any:
    return field.get_db_prep_save(field.pre_save(row, adding), connection)


def _made(model: type[Row], values: Sequence[object]) -> Row:
    columns = _columns(model)
    if columns.readers:
        read = list(values)
        for place, reader in columns.readers:
            read[place] = reader(read[place], None, connection)
        values = read
    return model.from_db(connection.alias, columns.names, values)
