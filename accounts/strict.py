"""Bodies without a field we do not know: a misspelt price must not become a market order."""

from collections.abc import Mapping
from typing import Any

from rest_framework.serializers import Serializer, ValidationError


class StrictSerializer(Serializer[Any]):
    """Refuses unknown fields by name, before anything else is looked at."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the checked fields."""
        if isinstance(data, Mapping):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                raise ValidationError(dict.fromkeys(unknown, "There is no such field."))
        return super().to_internal_value(data)
