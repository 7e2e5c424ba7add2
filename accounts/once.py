"""A write that is sent again under its Idempotency-Key is done once, and answered as it was the first time."""

import json
import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final, TypeAlias

from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import IdempotencyKeyUnusable, WriteKeyReused, WriteUnsettled
from accounts.models import KeptAnswer
from accounts.permissions import caller_of

KEPT_FOR: Final = timedelta(days=1)
KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")
HEADERS: Final = ("Location",)

Handler: TypeAlias = Callable[..., Response]


def once(handler: Handler) -> Handler:
    """Let a view's method keep its answer for a day, where the request carries an Idempotency-Key.

    The same key with another request is a 422, a repetition while the first is at work a 409. What was refused is not
    kept: the next try starts afresh.
    """

    @wraps(handler)
    def answer(view: Any, request: Request, **named: Any) -> Response:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return handler(view, request, **named)
        kept, fresh = _claim(request, key)
        if not fresh:
            return _replayed(kept, fingerprint=_fingerprint(request))
        done: Response | None = None
        try:
            done = handler(view, request, **named)
        finally:
            if done is None:
                kept.delete()
        _keep(kept, done)
        done.headers["Idempotent-Replayed"] = "false"
        return done

    answer.keeps_its_answer = True  # type: ignore[attr-defined] # the tests look for writes without it
    return answer


def forget_answers(*, now: datetime) -> None:
    """Delete what was kept for long enough."""
    KeptAnswer.objects.filter(asked_at__lt=now - KEPT_FOR).delete()


def _claim(request: Request, key: str) -> tuple[KeptAnswer, bool]:
    if not KEY.fullmatch(key):
        raise IdempotencyKeyUnusable("an Idempotency-Key has 1 to 128 visible characters", field="Idempotency-Key")
    new = {"id": uuid.uuid4(), "fingerprint": _fingerprint(request), "asked_at": timezone.now()}
    return KeptAnswer.objects.get_or_create(user_id=caller_of(request).user_id, key=key, defaults=new)


def _fingerprint(request: Request) -> str:
    # The body may hold a secret, so its digest is keyed.
    said = json.dumps([request.method, request.get_full_path(), request.data], sort_keys=True)
    return salted_hmac("accounts.once", said, algorithm="sha256").hexdigest()


def _keep(kept: KeptAnswer, done: Response) -> None:
    kept.status = done.status_code
    kept.headers = {name: done.headers[name] for name in HEADERS if name in done.headers}
    kept.body = "" if done.data is None else JSONRenderer().render(done.data).decode()
    kept.save()


def _replayed(kept: KeptAnswer, *, fingerprint: str) -> Response:
    if kept.fingerprint != fingerprint:
        raise WriteKeyReused("the Idempotency-Key was used for another request", field="Idempotency-Key")
    if kept.status is None:
        raise WriteUnsettled("the first request with this Idempotency-Key has not ended: look at what it did")
    headers = {**kept.headers, "Idempotent-Replayed": "true"}
    return Response(json.loads(kept.body) if kept.body else None, status=kept.status, headers=headers)
