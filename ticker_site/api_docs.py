"""The schema of the API and its pages, for whoever is known here."""

from typing import Any

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.queries import Principal


class IsKnown(BasePermission):
    """Lets through every principal, whatever its scopes."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Say whether somebody known is asking."""
        return isinstance(request.auth, Principal)


class SchemaView(SpectacularAPIView):
    """GET /api/v1/schema."""

    permission_classes = [IsKnown]


class DocsView(SpectacularSwaggerSplitView):
    """GET /api/v1/docs: the schema to browse and to try."""

    permission_classes = [IsKnown]
    url_name = "schema"
