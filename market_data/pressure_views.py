"""GET /api/v1/backpressure: how hard the stream presses, process by process."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from market_data.bus import sync_bus
from market_data.pressure import Level

LEVELS = ", ".join(level.name.lower() for level in Level)


class FeedPressureSerializer(serializers.Serializer[Any]):
    """One shard's last minute; rates are packets a second, counts are since the feed started."""

    shard = serializers.IntegerField()
    level = serializers.CharField(help_text=LEVELS)
    received = serializers.FloatField()
    published = serializers.FloatField()
    share = serializers.FloatField()
    publish_ms = serializers.FloatField()
    pending = serializers.IntegerField()
    protected = serializers.IntegerField()
    withheld_total = serializers.IntegerField()
    conflated_total = serializers.IntegerField()
    lost_batches_total = serializers.IntegerField()


class HubPressureSerializer(serializers.Serializer[Any]):
    """One web process's last minute: frames sent, and those a client could not take."""

    process = serializers.CharField()
    level = serializers.CharField(help_text=LEVELS)
    clients = serializers.IntegerField()
    sent = serializers.IntegerField()
    skipped = serializers.IntegerField()
    slow_closed_total = serializers.IntegerField()


class PressureSerializer(serializers.Serializer[Any]):
    """The worst level of all, and each process's own."""

    level = serializers.CharField(help_text=LEVELS)
    feeds = FeedPressureSerializer(many=True)
    hubs = HubPressureSerializer(many=True)


class PressureView(APIView):
    """GET /api/v1/backpressure."""

    required_scopes = {"GET": "market:read"}

    @extend_schema(operation_id="backpressure_retrieve", responses=PressureSerializer)
    def get(self, _request: Request) -> Response:
        """Return what feeds and hubs measured of themselves in the last minute."""
        reports: Mapping[str, Mapping[str, Any]] = sync_bus().read_health()
        feeds = [_feed(report) for name, report in sorted(reports.items()) if name.startswith("feed:")]
        hubs = [_hub(name, report) for name, report in sorted(reports.items()) if name.startswith("hub:")]
        worst = max((Level[row["level"].upper()] for row in (*feeds, *hubs)), default=Level.HEALTHY)
        return Response({"level": worst.name.lower(), "feeds": feeds, "hubs": hubs})


def _feed(report: Mapping[str, Any]) -> dict[str, Any]:
    counts = report["counts"]
    return {
        "shard": report["shard"],
        **report["pressure"],
        "level": Level(report["pressure"]["level"]).name.lower(),
        "withheld_total": counts.get("withheld", 0),
        "conflated_total": counts.get("conflated", 0),
        "lost_batches_total": report["lost_batches"],
    }


def _hub(name: str, report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "process": name.removeprefix("hub:"),
        **report["pressure"],
        "level": Level(report["pressure"]["level"]).name.lower(),
        "clients": report["clients"],
        "slow_closed_total": report["counts"].get("slow_closed", 0),
    }
