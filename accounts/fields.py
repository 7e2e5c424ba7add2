"""A secret value that does not print itself, and the column that stores it sealed."""

import base64
import hmac
from typing import Any, NoReturn, cast

from django.conf import settings
from django.core.exceptions import FieldError
from django.db.models import BinaryField, Model
from django.db.models.lookups import Lookup
from django.db.models.query_utils import DeferredAttribute

from accounts.redaction import REDACTED, remember
from accounts.vault import envelope, installed


class Secret:
    """A text that shows itself only when told to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself: for the one call that needs it, never for a variable that lives on."""
        remember(self._text)
        return self._text

    def __str__(self) -> str:
        return REDACTED

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"

    def __format__(self, spec: str) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled or copied")


class Sealed(bytes):
    """The stored form of a secret."""

    __slots__ = ()


class SealedAttribute(DeferredAttribute):
    """Opens the stored bytes when they are read, so that loading a row opens nothing."""

    def __get__(self, instance: Model | None, cls: Any = None) -> Any:
        """Return the Secret, or None."""
        if instance is None:
            return self
        value = super().__get__(instance, cls)
        if isinstance(value, Sealed):
            value = cast("SealedField", self.field).unseal(sealed=value, instance=instance)
        return value

    def __set__(self, instance: Model, value: object) -> None:
        """Keep a new secret until the row is saved."""
        if isinstance(value, str):
            value = Secret(value)
        elif value is not None and not isinstance(value, (Secret, Sealed)):
            raise TypeError(f"{self.field.name} takes a str, a Secret or None, was {type(value).__name__}")
        instance.__dict__[self.field.attname] = value


def sealed_fields(model: type[Model]) -> "list[SealedField]":
    """Return the sealed columns of a model."""
    return [field for field in model._meta.concrete_fields if isinstance(field, SealedField)]  # noqa: SLF001


class SealedField(BinaryField[Any, Any]):
    """A bytea column: an envelope bound to installation, model, field and primary key.

    The attribute is a Secret or None. The primary key must exist before the row is saved.
    """

    descriptor_class = SealedAttribute

    def place(self, *, instance: Model) -> envelope.Place:
        """Return what the envelope of this field in this row is bound to."""
        if instance.pk is None:
            raise TypeError(f"{self.model.__name__} needs a primary key before {self.name} is sealed")
        return envelope.Place(
            installation=settings.INSTALLATION_ID,
            model=self.model._meta.label_lower,  # noqa: SLF001 (documented by Django)
            field=self.attname,
            primary_key=str(instance.pk),
        )

    def unseal(self, *, sealed: Sealed, instance: Model) -> Secret:
        """Return the secret of a stored value."""
        plaintext = envelope.unseal(sealed=sealed, place=self.place(instance=instance), provider=installed.provider())
        return Secret(plaintext.decode())

    def key_id(self, *, instance: Model) -> str | None:
        """Return the id of the key that the stored value needs; opens nothing."""
        value = instance.__dict__[self.attname]
        return envelope.key_id_of(sealed=value) if isinstance(value, Sealed) else None

    def pre_save(self, model_instance: Model, add: bool) -> Sealed | None:  # noqa: FBT001 (Django's signature)
        """Seal a newly assigned secret; leave an unchanged one as it is stored."""
        value = model_instance.__dict__[self.attname]
        if isinstance(value, Secret):
            sealed = envelope.seal(
                plaintext=value.reveal().encode(),
                place=self.place(instance=model_instance),
                provider=installed.provider(),
            )
            value = model_instance.__dict__[self.attname] = Sealed(sealed)
        return cast("Sealed | None", value)

    def get_db_prep_value(self, value: object, connection: Any, prepared: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Let through what is sealed: an update or a filter with a plain secret has no row to bind it to."""
        if value is not None and not isinstance(value, Sealed):
            raise TypeError(f"{self.name} is sealed for one row: assign it and save the row")
        return super().get_db_prep_value(value, connection, prepared)

    def from_db_value(self, value: Any, _expression: object, _connection: object) -> Sealed | None:
        """Mark what comes from the database as sealed."""
        return None if value is None else Sealed(value)

    def to_python(self, value: object) -> Any:
        """Read the text of a fixture, which carries the sealed bytes."""
        return Sealed(base64.b64decode(value)) if isinstance(value, str) else value

    def value_to_string(self, obj: Model) -> str:
        """Write the sealed bytes to a fixture."""
        sealed = self.pre_save(obj, False)  # noqa: FBT003 (Django's signature)
        return "" if sealed is None else base64.b64encode(sealed).decode()

    def get_lookup(self, lookup_name: str) -> type[Lookup[Any]] | None:
        """Offer `isnull` alone."""
        if lookup_name != "isnull":
            raise FieldError(f"{self.name} is sealed: it can be compared with nothing")
        return super().get_lookup(lookup_name)
