"""The API of wishes: subscriptions, saved lists and chain windows."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.cursors import read_cursor, write_cursor
from accounts.once import once
from accounts.permissions import caller_of
from kite.types import Mode
from market_data import lists, subscriptions, windows
from market_data.asking import Asked, resolve_all
from market_data.errors import ListUnknown
from market_data.models import ChainWindow, Instrument, Subscription
from market_data.serializers import (
    ListBodySerializer,
    ListHeadSerializer,
    ListListSerializer,
    ListSerializer,
    SubscriptionListSerializer,
    SubscriptionQuerySerializer,
    SubscriptionSerializer,
    UnwishSerializer,
    WindowBodySerializer,
    WindowListSerializer,
    WindowSerializer,
    WishSerializer,
)

LONGEST_NAME = 50


class SubscriptionListView(APIView):
    """GET, POST, PUT and DELETE /api/v1/subscriptions."""

    required_scopes = {
        "GET": "market:read",
        "POST": "market:write",
        "PUT": "market:write",
        "DELETE": "market:write",
    }

    @extend_schema(
        operation_id="subscriptions_list",
        parameters=[SubscriptionQuerySerializer],
        responses=SubscriptionListSerializer,
    )
    def get(self, request: Request) -> Response:
        """List what the caller wants streamed, or who wants an instrument and why."""
        form = SubscriptionQuerySerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        rows = _chosen(wanted, mine=_wisher(request))
        if "cursor" in wanted:
            rows = rows.filter(pk__gt=read_cursor(wanted["cursor"], parts=1)[0])
        found = list(rows.order_by("pk")[: wanted["limit"] + 1])
        page = found[: wanted["limit"]]
        more = write_cursor([str(page[-1].pk)]) if len(found) > len(page) else None
        return Response({"results": SubscriptionSerializer(page, many=True).data, "next": more})

    @extend_schema(operation_id="subscriptions_add", request=WishSerializer, responses=SubscriptionListSerializer)
    @once
    def post(self, request: Request) -> Response:
        """Want instruments streamed; wanting them again only changes mode and reason."""
        wanted = _wish_of(request)
        created = subscriptions.wish(**wanted)
        return Response({**_mine(request), "created": created})

    @extend_schema(operation_id="subscriptions_replace", request=WishSerializer, responses=SubscriptionListSerializer)
    @once
    def put(self, request: Request) -> Response:
        """Want exactly these instruments streamed, and nothing the caller wanted before."""
        change = subscriptions.replace(**_wish_of(request))
        return Response({**_mine(request), "created": change.added, "deleted": change.removed})

    @extend_schema(
        operation_id="subscriptions_remove", request=UnwishSerializer, responses={200: SubscriptionListSerializer}
    )
    @once
    def delete(self, request: Request) -> Response:
        """Want instruments, or everything, no more: the body says which, as in POST, or {"everything": true}."""
        form = UnwishSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        if form.validated_data["everything"]:
            deleted = subscriptions.unwish_everything(wanted_by=_wisher(request))
        else:
            named = resolve_all(_asked(form.validated_data))
            deleted = subscriptions.unwish(instruments=named, wanted_by=_wisher(request))
        return Response({**_mine(request), "deleted": deleted})


class ListListView(APIView):
    """GET /api/v1/lists."""

    required_scopes = {"GET": "market:read"}

    @extend_schema(operation_id="lists_list", responses=ListListSerializer)
    def get(self, request: Request) -> Response:
        """Name the saved lists."""
        return Response({"results": ListHeadSerializer(lists.every(), many=True).data})


class ListView(APIView):
    """GET, PUT and DELETE /api/v1/lists/{name}."""

    required_scopes = {"GET": "market:read", "PUT": "market:write", "DELETE": "market:write"}

    @extend_schema(operation_id="lists_get", responses=ListSerializer)
    def get(self, request: Request, name: str) -> Response:
        """Return a list with its instruments."""
        return Response(_list_document(name))

    @extend_schema(operation_id="lists_save", request=ListBodySerializer, responses=ListSerializer)
    @once
    def put(self, request: Request, name: str) -> Response:
        """Save instruments under a name; with a mode the list is streamed as a whole."""
        if len(name) > LONGEST_NAME:
            raise ListUnknown(f"the name of a list has at most {LONGEST_NAME} characters", field="name")
        form = ListBodySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        body = form.validated_data
        lists.save(
            name=name,
            instruments=resolve_all(_asked(body)),
            stream=Mode(body["stream"]) if body["stream"] else None,
            description=body["description"],
            saved_by=caller_of(request).label,
            now=timezone.now(),
        )
        return Response(_list_document(name))

    @extend_schema(operation_id="lists_delete", responses={204: None})
    @once
    def delete(self, request: Request, name: str) -> Response:
        """Forget a list."""
        lists.drop(name=name)
        return Response(status=status.HTTP_204_NO_CONTENT)


class WindowListView(APIView):
    """GET /api/v1/windows."""

    required_scopes = {"GET": "market:read"}

    @extend_schema(operation_id="windows_list", responses=WindowListSerializer)
    def get(self, request: Request) -> Response:
        """List everybody's chain windows and where they stand."""
        rows = ChainWindow.objects.order_by("underlying", "wanted_by")
        return Response({"results": WindowSerializer(rows, many=True).data})


class WindowView(APIView):
    """PUT and DELETE /api/v1/windows/{underlying}."""

    required_scopes = {"PUT": "market:write", "DELETE": "market:write"}

    @extend_schema(operation_id="windows_save", request=WindowBodySerializer, responses=WindowSerializer)
    @once
    def put(self, request: Request, underlying: str) -> Response:
        """Want the strikes around an underlying's price, wherever it goes."""
        form = WindowBodySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        window = windows.save(
            underlying=underlying, wanted_by=_wisher(request), terms=form.validated_data, now=timezone.now()
        )
        return Response(WindowSerializer(window).data)

    @extend_schema(operation_id="windows_delete", responses={204: None})
    @once
    def delete(self, request: Request, underlying: str) -> Response:
        """Want them no more."""
        windows.drop(underlying=underlying, wanted_by=_wisher(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _wish_of(request: Request) -> dict[str, Any]:
    form = WishSerializer(data=request.data)
    form.is_valid(raise_exception=True)
    body = form.validated_data
    return {
        "instruments": resolve_all(_asked(body)),
        "mode": Mode(body["mode"]),
        "wanted_by": _wisher(request),
        "reason": body["reason"],
        "now": timezone.now(),
    }


def _asked(body: dict[str, Any]) -> Asked:
    return Asked(keys=body["instruments"], lists=body["lists"], chains=body["chains"])


def _mine(request: Request) -> dict[str, object]:
    rows = subscriptions.wishes(wanted_by=_wisher(request), now=timezone.now())
    return {"results": SubscriptionSerializer(rows, many=True).data}


def _chosen(wanted: dict[str, Any], *, mine: str) -> QuerySet[Subscription]:
    rows = subscriptions.every(now=timezone.now())
    if "instrument" in wanted:
        return rows.filter(instrument=resolve_all(Asked(keys=[wanted["instrument"]]))[0])
    if wanted["everyone"]:
        return rows
    return rows.filter(wanted_by=wanted.get("wanted_by", mine))


def _list_document(name: str) -> dict[str, object]:
    row = lists.every().filter(name=name).first() or lists.by_name(name)
    entries: list[Instrument] = list(
        Instrument.objects.filter(pk__in=row.entries.values("instrument")).order_by("exchange", "tradingsymbol")
    )
    return {**ListHeadSerializer(row).data, "instruments": [str(one) for one in entries]}


def _wisher(request: Request) -> str:
    return f"client:{caller_of(request).label}"
