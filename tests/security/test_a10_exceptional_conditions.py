"""A10: what guards fails closed when what it stands on is gone."""

import ast
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.errors import KeyRingError
from accounts.rates import Allowance
from tests.architecture.sources import product_files, short, tree_of
from tests.factories import CredentialFactory

NOWHERE = "redis://127.0.0.1:1/0"


def test_the_limiter_goes_on_limiting_without_its_store(administrator: APIClient, settings: Any) -> None:
    settings.REDIS_URL = NOWHERE
    settings.REQUEST_RATES = dict.fromkeys(("read", "write"), Allowance(per_second=0.01, burst=2))

    statuses = [administrator.get("/api/v1/accounts").status_code for _ in range(3)]

    assert statuses == [200, 200, 429]


def test_a_secret_does_not_open_without_its_key(db: None, settings: Any, tmp_path: Any) -> None:
    credential = CredentialFactory()
    settings.VAULT_KEY_FILE = str(tmp_path / "gone.json")

    with pytest.raises(KeyRingError):
        type(credential).objects.get(pk=credential.pk).api_secret.reveal()


def test_broad_catches_stand_in_outermost_loops_alone() -> None:
    """Where everything is caught, it is logged with its traceback in the same handler."""
    silent = [
        f"{short(path)}:{handler.lineno}"
        for path in product_files()
        for handler in ast.walk(tree_of(path))
        if isinstance(handler, ast.ExceptHandler) and _is_broad(handler) and not _hands_on(handler)
    ]

    assert silent == []


def _is_broad(handler: ast.ExceptHandler) -> bool:
    named = ast.unparse(handler.type) if handler.type is not None else "BaseException"
    return named in {"Exception", "BaseException"}


def _hands_on(handler: ast.ExceptHandler) -> bool:
    return any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Attribute) and node.attr in {"exception", "throw"})
        for node in ast.walk(handler)
    )


def test_every_wait_for_a_lock_or_a_thread_ends() -> None:
    """`join()`, `acquire()`, `wait()` and `get()` on threads and queues carry a time-out."""
    endless = [
        f"{short(path)}:{node.lineno} {ast.unparse(node)}"
        for path in product_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"acquire", "join"}
        and not node.args
        and not node.keywords
    ]

    assert endless == []
