"""Kite's HTTP postbacks: checked against the account's secret, answered at once, and taken only as a hint to look."""

import hmac
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import BrokerAccount
from accounts.queries import current_credential
from kite.checksum import postback_checksum
from orders.errors import PostbackRefused
from orders.tasks import knock, reconcile_account

log = structlog.get_logger(__name__)

LONGEST_BODY = 64 * 1024


class PostbackView(APIView):
    """POST /api/v1/postbacks/kite/{label}.

    The checksum covers neither status nor quantities, so a captured postback could be altered: nothing of it is taken
    over, the books are read again instead.
    """

    # The broker has no key of ours: its signature is the authentication.
    authentication_classes = ()
    permission_classes = [AllowAny]
    throttle_classes = ()

    @extend_schema(operation_id="postbacks_kite", request=OpenApiTypes.OBJECT, responses={200: None})
    def post(self, request: Request, label: str) -> Response:
        """Answer 200 before anything is read from the broker, which waits two seconds at most."""
        try:
            account_id, order_id = _checked(label, request.body)
        except PostbackRefused as error:
            log.warning("orders.postback.refused", label=label, error=str(error))
            raise
        log.info("orders.postback.heard", label=label, broker_order_id=order_id)
        knock(reconcile_account, account_id)
        return Response(status=status.HTTP_200_OK)


def _checked(label: str, body: bytes) -> tuple[UUID, str]:
    """Return account and broker order id; one and the same refusal for every fault tells a stranger nothing."""
    payload = _payload(body)
    account = BrokerAccount.objects.filter(label=label).first()
    credential = current_credential(account_id=account.pk) if account is not None else None
    secret = credential.api_secret.reveal() if credential is not None else ""
    order_id, told = str(payload.get("order_id", "")), str(payload.get("checksum", ""))
    expected = postback_checksum(
        order_id=order_id, order_timestamp=str(payload.get("order_timestamp", "")), api_secret=secret
    )
    if not hmac.compare_digest(expected.encode(), told.encode()) or account is None or not secret:
        raise PostbackRefused("the checksum does not fit this account")
    return account.pk, order_id


def _payload(body: bytes) -> Mapping[str, Any]:
    if len(body) > LONGEST_BODY:
        raise PostbackRefused("the body is too long")
    try:
        payload = json.loads(body)
    except ValueError as error:
        raise PostbackRefused("the body is not JSON") from error
    if not isinstance(payload, dict):
        raise PostbackRefused("the body is not an object")
    return payload
