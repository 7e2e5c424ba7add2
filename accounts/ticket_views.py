"""POST /api/v1/socket-tickets: a ticket for one socket of the caller's."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.evidence import PREFIX
from accounts.permissions import caller_of
from accounts.tickets import LIFE, SOCKET_LIFE, issue


class TicketSerializer(serializers.Serializer[Any]):
    """A ticket: offer it as a subprotocol beside the one you speak, once, within `expires_in` seconds."""

    ticket = serializers.CharField()
    subprotocol = serializers.CharField()
    expires_in = serializers.IntegerField()
    socket_seconds = serializers.IntegerField()


class SocketTicketView(APIView):
    """POST /api/v1/socket-tickets."""

    required_scopes = {"POST": "market:read"}

    @extend_schema(operation_id="socket_tickets_create", request=None, responses={201: TicketSerializer})
    def post(self, request: Request) -> Response:
        """Return a ticket that opens one socket as the caller."""
        text = issue(principal=caller_of(request), now=timezone.now())
        body = {
            "ticket": text,
            "subprotocol": f"{PREFIX}{text}",
            "expires_in": int(LIFE.total_seconds()),
            "socket_seconds": int(SOCKET_LIFE.total_seconds()),
        }
        return Response(body, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})
