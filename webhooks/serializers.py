"""What the webhooks API takes and shows; a secret is taken and never shown."""

import base64
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.strict import StrictSerializer
from webhooks.models import Attempt, Delivery, Endpoint
from webhooks.signing import PREFIX, check_secret

KIND = r"^(\*|[a-z_]+(\.[a-z_]+)*(\.\*)?)$"
EXAMPLE = {
    "url": "https://hooks.example.com/ticker",
    "description": "fills to the back office",
    "kinds": ["orders.order.complete", "orders.gtt.*"],
    "accounts": ["main"],
    "secret": PREFIX + base64.b64encode(b"example only, and no secret of ours").decode(),
}


def _kinds(*, required: bool) -> serializers.ListField:
    child = serializers.RegexField(KIND, max_length=60)
    return serializers.ListField(child=child, min_length=1, max_length=50, required=required)


def _labels() -> serializers.ListField:
    return serializers.ListField(
        child=serializers.SlugField(max_length=50), min_length=1, max_length=500, required=False, allow_null=True
    )


def _check_secret(text: str) -> None:
    try:
        check_secret(text)
    except ValueError as error:
        raise serializers.ValidationError(str(error)) from error


def _secret() -> serializers.CharField:
    return serializers.CharField(
        max_length=100,
        write_only=True,
        validators=[_check_secret],
        help_text="whsec_ and the base64 of 24 to 64 random bytes; the receiver checks signatures with it.",
    )


@extend_schema_serializer(examples=[OpenApiExample("fills of one account", EXAMPLE, request_only=True)])
class NewEndpointSerializer(StrictSerializer):
    """Body of POST /api/v1/webhooks; without accounts it hears of every account."""

    url = serializers.URLField(max_length=2000)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    kinds = _kinds(required=True)
    accounts = _labels()
    secret = _secret()


class SecretSerializer(StrictSerializer):
    """Body of POST /api/v1/webhooks/{id}/secret."""

    secret = _secret()


@extend_schema_serializer(examples=[OpenApiExample("pause", {"enabled": False}, request_only=True)])
class EndpointChangeSerializer(StrictSerializer):
    """Body of PATCH /api/v1/webhooks/{id}."""

    url = serializers.URLField(max_length=2000, required=False)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    kinds = _kinds(required=False)
    accounts = _labels()
    enabled = serializers.BooleanField(required=False)


class EndpointSerializer(serializers.Serializer[Any]):
    """An endpoint."""

    id = serializers.UUIDField()
    url = serializers.CharField()
    description = serializers.CharField()
    kinds = serializers.ListField(child=serializers.CharField())
    accounts = serializers.ListField(child=serializers.CharField(), allow_null=True)
    state = serializers.CharField()
    state_reason = serializers.CharField()
    failures = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class EndpointListSerializer(serializers.Serializer[Any]):
    """Endpoints."""

    results = EndpointSerializer(many=True)


class AttemptSerializer(serializers.Serializer[Any]):
    """One try."""

    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    address = serializers.CharField()
    status = serializers.IntegerField(allow_null=True)
    milliseconds = serializers.IntegerField()
    answer = serializers.CharField()
    error = serializers.CharField()


class DeliverySerializer(serializers.Serializer[Any]):
    """One message on its way to one endpoint."""

    id = serializers.UUIDField()
    webhook = serializers.UUIDField()
    message_id = serializers.CharField()
    kind = serializers.CharField()
    account = serializers.CharField(allow_null=True)
    state = serializers.CharField()
    attempts = serializers.IntegerField()
    next_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class DeliveryDetailSerializer(DeliverySerializer):
    """One delivery with its body and every try."""

    body = serializers.JSONField()
    log = AttemptSerializer(many=True)


class DeliveryListSerializer(serializers.Serializer[Any]):
    """A page of deliveries, newest first."""

    results = DeliverySerializer(many=True)
    next = serializers.CharField(allow_null=True)


class DeliveryFilterSerializer(serializers.Serializer[Any]):
    """Query of GET /api/v1/webhooks/deliveries; `state=dead` is the dead-letter list."""

    webhook = serializers.UUIDField(required=False)
    state = serializers.ChoiceField(Delivery.State.values, required=False)
    cursor = serializers.CharField(required=False, max_length=200)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=100)


def endpoint_document(endpoint: Endpoint) -> dict[str, Any]:
    """Return the endpoint as its owner sees it."""
    labels = None if endpoint.every_account else sorted(account.label for account in endpoint.accounts.all())
    return {
        "id": str(endpoint.pk),
        "url": endpoint.url,
        "description": endpoint.description,
        "kinds": endpoint.kinds,
        "accounts": labels,
        "state": endpoint.state,
        "state_reason": endpoint.state_reason,
        "failures": endpoint.failures,
        "created_at": endpoint.created_at.isoformat(),
    }


def delivery_document(delivery: Delivery) -> dict[str, Any]:
    """Return the delivery as a row of the log."""
    account = delivery.message.account
    return {
        "id": str(delivery.pk),
        "webhook": str(delivery.endpoint_id),
        "message_id": delivery.message.wire_id,
        "kind": delivery.message.kind,
        "account": account.label if account else None,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_at": delivery.next_at.isoformat() if delivery.next_at else None,
        "reason": delivery.reason,
        "created_at": delivery.created_at.isoformat(),
        "finished_at": delivery.finished_at.isoformat() if delivery.finished_at else None,
    }


def attempt_document(attempt: Attempt) -> dict[str, Any]:
    """Return one try."""
    return {
        "number": attempt.number,
        "at": attempt.at.isoformat(),
        "address": attempt.address,
        "status": attempt.status,
        "milliseconds": attempt.milliseconds,
        "answer": attempt.answer,
        "error": attempt.error,
    }
