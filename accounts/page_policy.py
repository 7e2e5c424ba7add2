"""The content policy of pages we draw ourselves: what the admin's library needs is not allowed on them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

OWN_PAGE: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "default-src": ("'none'",),
        "script-src": ("'self'",),
        "style-src": ("'self'",),
        "img-src": ("'self'",),
        "font-src": ("'self'",),
        "connect-src": ("'self'",),
        "form-action": ("'self'",),
        "frame-ancestors": ("'none'",),
        "base-uri": ("'none'",),
        "require-trusted-types-for": ("'script'",),
    }
)
