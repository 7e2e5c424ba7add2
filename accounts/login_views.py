"""The broker login of a program: where a person must go, and the request token it comes back with."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import credentials
from accounts.login_provider import login_provider
from accounts.once import once
from accounts.permissions import caller_of
from accounts.queries import account_by_label, current_credential, open_halts
from accounts.serializers import AccountSerializer, AccountStatus
from accounts.strict import StrictSerializer
from accounts.views import MAY_LOG_IN


class LoginUrlSerializer(serializers.Serializer[Any]):
    """The broker's page; after it the browser's address carries the request_token."""

    url = serializers.URLField()


class RequestTokenSerializer(StrictSerializer):
    """What the broker's page led to; it works once, for a few minutes."""

    request_token = serializers.CharField(max_length=200)


class LoginView(APIView):
    """GET and POST /api/v1/accounts/{label}/login."""

    required_scopes = {"GET": MAY_LOG_IN, "POST": MAY_LOG_IN}
    stepped_up = ("POST",)

    @extend_schema(operation_id="accounts_login_page", responses=LoginUrlSerializer)
    def get(self, request: Request, label: str) -> Response:
        """Return the broker's login page for an account; whoever logs in there must own it."""
        principal = caller_of(request)
        account = account_by_label(label=label, principal=principal)
        return Response({"url": login_provider().page(account=account, user_id=principal.user_id)})

    @extend_schema(operation_id="accounts_log_in", request=RequestTokenSerializer, responses=AccountSerializer)
    @once
    def post(self, request: Request, label: str) -> Response:
        """Log an account in; the same token again changes nothing."""
        principal = caller_of(request)
        account = account_by_label(label=label, principal=principal)
        form = RequestTokenSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        now = timezone.now()
        token = form.validated_data["request_token"]
        credentials.complete_login(account_id=account.pk, request_token=token, actor=principal.label, now=now)
        held = current_credential(account_id=account.pk)
        return Response(AccountSerializer(AccountStatus(account, held, now, open_halts())).data)
