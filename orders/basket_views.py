"""The baskets API, and slices and exits of single orders."""

from typing import ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.cursors import newest_first
from accounts.once import once
from accounts.permissions import caller_of
from accounts.queries import account_by_label
from orders import baskets, groups, intake
from orders.answers import document_of, documents_of, group_response, wait_for
from orders.basket_serializers import (
    BasketFilterSerializer,
    BasketListSerializer,
    BasketRequestSerializer,
    BasketSerializer,
)
from orders.parent_tasks import advance_group
from orders.parents import OrderGroup
from orders.requests import IDEMPOTENCY, PREFER, preferred_wait, sessions_of
from orders.tasks import knock


class BasketListView(APIView):
    """POST and GET /api/v1/baskets."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read", "POST": "orders:write"}

    @extend_schema(
        operation_id="baskets_place",
        request=BasketRequestSerializer,
        responses={202: BasketSerializer, 200: BasketSerializer},
        parameters=[IDEMPOTENCY, PREFER],
    )
    def post(self, request: Request) -> Response:
        """Take a basket in: every leg is judged first, then the legs leave as their order wants."""
        body = BasketRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return group_response(request, body.wanted, now=timezone.now())

    @extend_schema(operation_id="baskets_list", parameters=[BasketFilterSerializer], responses=BasketListSerializer)
    def get(self, request: Request) -> Response:
        """List groups of orders, newest first."""
        form = BasketFilterSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        wanted, principal = form.validated_data, caller_of(request)
        rows = OrderGroup.objects.select_related("account").order_by("-created_at", "-id")
        if principal.account_ids is not None:
            rows = rows.filter(account_id__in=principal.account_ids)
        if "account" in wanted:
            rows = rows.filter(account=account_by_label(label=wanted["account"], principal=principal))
        rows = rows.filter(**{name: wanted[name] for name in ("kind", "state") if name in wanted})
        page, following = newest_first(rows=rows, cursor=wanted.get("cursor"), limit=wanted["limit"])
        return Response({"results": documents_of(page), "next": following})


class BasketView(APIView):
    """GET and DELETE /api/v1/baskets/{id}."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read", "DELETE": "orders:write"}

    @extend_schema(operation_id="baskets_get", responses=BasketSerializer)
    def get(self, request: Request, group_id: UUID) -> Response:
        """Show a group with every leg's own outcome."""
        return Response(document_of(baskets.visible_group(principal=caller_of(request), group_id=group_id)))

    @extend_schema(operation_id="baskets_cancel", responses={202: BasketSerializer}, parameters=[PREFER])
    @once
    def delete(self, request: Request, group_id: UUID) -> Response:
        """Call a group off: what waits is not sent, what is open is cancelled, what traded stays."""
        principal, now = caller_of(request), timezone.now()
        group = baskets.visible_group(principal=principal, group_id=group_id)
        groups.cancel(group=group, client=intake.client_of(principal), now=now)
        groups.advance(group_id=group.pk, sessions=sessions_of(request), now=now)
        knock(advance_group, group.pk)
        wait_for(group, seconds=preferred_wait(request))
        return Response(document_of(group), status=status.HTTP_202_ACCEPTED)
