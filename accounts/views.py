"""The accounts API, and the two pages of a broker login."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.contrib.auth.decorators import user_passes_test
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import credentials, health, probing
from accounts.errors import Forbidden, PlatformError
from accounts.login_provider import login_provider
from accounts.models import BrokerAccount, User
from accounts.once import once
from accounts.permissions import caller_of
from accounts.queries import (
    Principal,
    account_by_label,
    current_credential,
    current_credentials,
    open_halts,
    principal_of,
    visible_accounts,
)
from accounts.serializers import (
    AccountChangeSerializer,
    AccountListSerializer,
    AccountSerializer,
    AccountStatus,
    NewAccountSerializer,
    PrincipalSerializer,
    ProbeSerializer,
    ReasonSerializer,
    RotationSerializer,
    StateSerializer,
)
from accounts.sessions import Sessions
from accounts.tokens import revoke_token
from kite.errors import KiteError

MAY_LOG_IN = "ops:write"
STATE_VERBS = {"active": health.uncordon, "cordoned": health.cordon, "retired": health.retire}

Page = Callable[..., HttpResponse]


class AccountListView(APIView):
    """GET /api/v1/accounts."""

    required_scopes = {"GET": "accounts:read", "POST": "accounts:write"}

    @extend_schema(operation_id="accounts_list", responses=AccountListSerializer)
    def get(self, request: Request) -> Response:
        """List the accounts the caller may see."""
        accounts = visible_accounts(caller_of(request))
        held = current_credentials(accounts=accounts)
        now, halts = timezone.now(), open_halts()
        rows = [AccountStatus(account, held.get(account.pk), now, halts) for account in accounts]
        return Response({"results": AccountSerializer(rows, many=True).data})

    @extend_schema(operation_id="accounts_add", request=NewAccountSerializer, responses={201: AccountSerializer})
    @once
    def post(self, request: Request) -> Response:
        """Bring in an account; a caller limited to some accounts does not see it until it is given to them."""
        form = NewAccountSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        account = BrokerAccount(**form.validated_data)
        health.add(account=account, actor=caller_of(request).label, now=timezone.now())
        return Response(_document(account), status=status.HTTP_201_CREATED)


class AccountView(APIView):
    """GET, PATCH and DELETE /api/v1/accounts/{label}."""

    required_scopes = {"GET": "accounts:read", "PATCH": "accounts:write", "DELETE": "accounts:write"}

    @extend_schema(operation_id="accounts_get", responses=AccountSerializer)
    def get(self, request: Request, label: str) -> Response:
        """Return one account."""
        return Response(_document(account_by_label(label=label, principal=caller_of(request))))

    @extend_schema(operation_id="accounts_change", request=AccountChangeSerializer, responses=AccountSerializer)
    @once
    def patch(self, request: Request, label: str) -> Response:
        """Change what an account is used for."""
        principal = caller_of(request)
        account = account_by_label(label=label, principal=principal)
        form = AccountChangeSerializer(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        changed = health.change(
            account_id=account.pk, changes=form.validated_data, actor=principal.label, now=timezone.now()
        )
        return Response(_document(changed))

    @extend_schema(operation_id="accounts_delete", request=ReasonSerializer, responses={204: None})
    @once
    def delete(self, request: Request, label: str) -> Response:
        """Take away a cordoned or retired account that never did anything; one with a history is only retired.

        The body says why: {"reason": "opened by mistake"}.
        """
        principal = caller_of(request)
        account = account_by_label(label=label, principal=principal)
        form = ReasonSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        reason = form.validated_data["reason"]
        health.delete(account_id=account.pk, reason=reason, actor=principal.label, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class AccountStateView(APIView):
    """PUT /api/v1/accounts/{label}/state."""

    required_scopes = {"PUT": "ops:write"}

    @extend_schema(operation_id="accounts_state", request=StateSerializer, responses=AccountSerializer)
    @once
    def put(self, request: Request, label: str) -> Response:
        """Cordon, uncordon or retire an account."""
        principal = caller_of(request)
        account = account_by_label(label=label, principal=principal)
        form = StateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        verb = STATE_VERBS[form.validated_data["state"]]
        verb(account_id=account.pk, reason=form.validated_data["reason"], actor=principal.label, now=timezone.now())
        return Response(_document(account_by_label(label=label, principal=principal)))


class ProbeView(APIView):
    """POST /api/v1/accounts/{label}/probe."""

    required_scopes = {"POST": "ops:write"}

    @extend_schema(operation_id="accounts_probe", request=None, responses=ProbeSerializer)
    @once
    def post(self, request: Request, label: str) -> Response:
        """Ask the broker who the login belongs to; a dead token is forgotten."""
        account = account_by_label(label=label, principal=caller_of(request))
        sessions: Sessions = request.kite  # type: ignore[attr-defined] # by the middleware
        profile = probing.probe(account_id=account.pk, sessions=sessions, now=timezone.now())
        return Response(ProbeSerializer(profile).data)


class CredentialsView(APIView):
    """POST /api/v1/accounts/{label}/credentials."""

    required_scopes = {"POST": "accounts:write"}
    stepped_up = ("POST",)

    @extend_schema(operation_id="accounts_rotate", request=RotationSerializer, responses={201: AccountSerializer})
    @once
    def post(self, request: Request, label: str) -> Response:
        """Rotate key and secret; the next login uses them."""
        principal = caller_of(request)
        account = account_by_label(label=label, principal=principal)
        form = RotationSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        credentials.rotate(account_id=account.pk, actor=principal.label, now=timezone.now(), **form.validated_data)
        return Response(_document(account), status=status.HTTP_201_CREATED)


class PrincipalView(APIView):
    """GET /api/v1/me."""

    required_scopes = {"GET": "accounts:read"}

    @extend_schema(operation_id="me", responses=PrincipalSerializer)
    def get(self, request: Request) -> Response:
        """Say who is asking and what they may do."""
        principal = caller_of(request)
        accounts = None if principal.account_ids is None else [row.label for row in visible_accounts(principal)]
        document = {
            "label": principal.label,
            "user_id": principal.user_id,
            "key_id": principal.key_id,
            "scopes": sorted(principal.scopes),
            "accounts": accounts,
        }
        return Response(PrincipalSerializer(document).data)


class OwnTokenView(APIView):
    """DELETE /api/v1/me/token."""

    required_scopes = {"DELETE": "accounts:read"}

    @extend_schema(operation_id="me_token_revoke", responses={204: None})
    def delete(self, request: Request) -> Response:
        """End the issuer's token this request was sent with; it is refused from now on."""
        revoke_token(request.headers.get("Authorization", "").partition(" ")[2].strip(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


def at_the_desk(page: Page) -> Page:
    """Show what went wrong as a message on the Desk."""

    @wraps(page)
    def guarded(request: HttpRequest, **arguments: str) -> HttpResponse:
        try:
            return page(request, **arguments)
        except (PlatformError, KiteError) as error:
            messages.error(request, str(error))
        return redirect("desk")

    return guarded


# Whoever must sign in first is not sent on with the query: it may hold a request token.
on_the_staff = user_passes_test(
    lambda user: user.is_active and user.is_staff, login_url="admin:login", redirect_field_name=None
)


@on_the_staff
@never_cache
@require_GET
@at_the_desk
def begin_login(request: HttpRequest, *, label: str) -> HttpResponse:
    """Send a person to the broker's login page for one account."""
    principal = _person(request)
    account = account_by_label(label=label, principal=principal)
    return redirect(login_provider().page(account=account, user_id=principal.user_id))


@on_the_staff
@never_cache
@require_GET
@at_the_desk
def finish_login(request: HttpRequest) -> HttpResponse:
    """Take the request token that the broker's page brings back."""
    principal = _person(request)
    granted = login_provider().answer(query=request.GET.dict(), user_id=principal.user_id)
    credential = credentials.complete_login(
        account_id=granted.account_id,
        request_token=granted.request_token,
        actor=principal.label,
        now=timezone.now(),
    )
    until = timezone.localtime(credential.token_expires_at)
    messages.success(
        request, f"{credential.account.label} is logged in until {until:%d %B, %H:%M}. {_queue_of(principal)}"
    )
    return redirect("desk")


def _queue_of(principal: Principal) -> str:
    """Say how far the morning is, and who is next."""
    accounts = visible_accounts(principal).exclude(state=BrokerAccount.State.RETIRED)
    held, now = current_credentials(accounts=accounts), timezone.now()
    waiting = [row.label for row in accounts if row.pk not in held or not held[row.pk].is_live(now=now)]
    done = f"{len(accounts) - len(waiting)} of {len(accounts)} logged in"
    return f"{done}; next is {waiting[0]}." if waiting else f"{done}."


def _person(request: HttpRequest) -> Principal:
    if not isinstance(request.user, User):
        raise Forbidden("sign in first")
    principal = principal_of(request.user)
    if not principal.may(MAY_LOG_IN):
        raise Forbidden(f"logging accounts in needs the scope {MAY_LOG_IN}")
    return principal


def _document(account: BrokerAccount) -> object:
    held = current_credential(account_id=account.pk)
    return AccountSerializer(AccountStatus(account, held, timezone.now(), open_halts())).data
