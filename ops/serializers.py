"""Shapes of halts in the API."""

from typing import Any

from rest_framework import serializers

from accounts.models import TradingHalt
from accounts.strict import StrictSerializer
from ops.stops import HaltReport


class HaltSerializer(serializers.ModelSerializer[TradingHalt]):
    """A halt in force."""

    class Meta:
        model = TradingHalt
        fields = ["id", "scope", "target", "level", "reason", "engaged_by", "engaged_at"]
        read_only_fields = fields


class EngageSerializer(StrictSerializer):
    """What to stop, how far and why."""

    scope = serializers.ChoiceField(choices=TradingHalt.Scope.choices)
    target = serializers.CharField(max_length=80, allow_blank=True, default="")
    level = serializers.ChoiceField(choices=TradingHalt.Level.choices, default=TradingHalt.Level.HALTED)
    reason = serializers.CharField(max_length=200)
    cancel_orders = serializers.BooleanField(default=False)


class ReleaseSerializer(StrictSerializer):
    """Why to let go; `ask` asks a second person instead."""

    reason = serializers.CharField(max_length=200)
    ask = serializers.BooleanField(default=False)


class ClearSerializer(StrictSerializer):
    """What to clear; `ask` asks a second person to have positions closed instead."""

    flatten = serializers.BooleanField(default=False)
    ask = serializers.BooleanField(default=False)
    reason = serializers.CharField(max_length=200)


class ApprovalAskedSerializer(serializers.Serializer[Any]):
    """The request that another person has to approve."""

    approval = serializers.UUIDField(source="pk")
    expires_at = serializers.DateTimeField()


class ReportSerializer(serializers.ModelSerializer[HaltReport]):
    """How far the clearing under a halt is."""

    class Meta:
        model = HaltReport
        fields = [
            *("id", "halt", "flatten", "state", "asked_by", "started_at", "looked_at", "finished_at"),
            *("looks", "cancels", "closings", "left"),
        ]
        read_only_fields = fields
