"""A05 and SEC-009 to 022: what strangers write into fields stays a value."""

import ast
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from accounts.models import BrokerAccount
from tests.architecture.sources import product_files, short, tree_of
from tests.security.routes import Deed, deeds

PAYLOADS = {
    "sql": "' OR 1=1; DROP TABLE accounts_user;--",
    "sql union": "x' UNION SELECT digest FROM accounts_apikey--",
    "redis": "x\r\nFLUSHALL\r\n",
    "shell": "$(touch /etc/owned); `id` | cat",
    "template": "{{7*7}}{% debug %}${7*7}",
    "path": "../../../../etc/passwd",
    "path encoded": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "header": "x\r\nSet-Cookie: admin=1",
    "null": "x\x00y",
    "ldap": "*)(uid=*))(|(uid=*",
    "xxe": '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "script": "<script>alert(1)</script>",
    "number": "9" * 400,
    "letters": "٣-ḀẀ\U0001f600" * 50,
}
NAMES = ("account", "group", "state", "day", "cursor", "limit", "exchange", "q", "name", "expiry", "i", "from", "to")
FIELDS = (*NAMES, "label", "reason", "tradingsymbol", "transaction_type", "product", "quantity", "price", "mode")
# Tables named after days, and columns out of a fixed set: identifiers cannot be parameters.
NAMES_OF_OURS = {"market_data/partitions.py", "market_data/staging.py", "greeks/option_store.py"}
REFUSALS = range(400, 500)
# Somebody else's silence is no failure of ours.
UPSTREAM = {
    "login_needed",
    "portfolio_unavailable",
    "feed_down",
    "chain_not_ready",
    "price_unavailable",
    "margin_unavailable",
}
READS = [deed for deed in deeds() if deed.method == "GET"]
# A postback is proved by its signature before anything is read, a ticket is made of who asks alone.
BODILESS = ("postbacks", "socket-tickets")
WRITES = [
    deed
    for deed in deeds()
    if deed.method in {"POST", "PUT", "PATCH"} and not any(word in deed.route for word in BODILESS)
]


@pytest.mark.parametrize("deed", READS, ids=str)
def test_a_query_stays_a_value(administrator: APIClient, deed: Deed) -> None:
    answers = {
        name: administrator.get(deed.path(label="x"), dict.fromkeys(NAMES, payload))
        for name, payload in PAYLOADS.items()
    }

    assert {name for name, answer in answers.items() if not _is_calm(answer)} == set()


@pytest.mark.parametrize("deed", [deed for deed in deeds() if deed.converters], ids=str)
def test_a_path_stays_a_value(administrator: APIClient, deed: Deed) -> None:
    answers = {
        name: _send(administrator, deed, path=_path_of(deed, quote(payload, safe="")))
        for name, payload in PAYLOADS.items()
    }

    assert {name for name, answer in answers.items() if not _is_calm(answer)} == set()


@pytest.mark.parametrize("deed", WRITES, ids=str)
def test_a_body_stays_a_value(administrator: APIClient, deed: Deed) -> None:
    before = BrokerAccount.objects.count()
    path = deed.path(label="x")
    bodies = {name: dict.fromkeys(FIELDS, payload) for name, payload in PAYLOADS.items()}

    answers = {name: _send(administrator, deed, path=path, body=body) for name, body in bodies.items()}

    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code not in REFUSALS} == {}
    assert BrokerAccount.objects.count() == before


@pytest.mark.parametrize("deed", WRITES, ids=str)
def test_a_body_of_another_shape_is_refused(administrator: APIClient, deed: Deed) -> None:
    shapes: list[Any] = [[], "text", 7, None, True, {"": {}}, [[]]]

    statuses = {repr(body): _send(administrator, deed, body=body).status_code for body in shapes}

    assert {body: status for body, status in statuses.items() if status not in REFUSALS} == {}


def _send(client: APIClient, deed: Deed, *, path: str = "", body: Any = None) -> Any:
    send = getattr(client, deed.method.lower())
    return send(path or deed.path(label="x"), body, format="json", headers={"Idempotency-Key": str(uuid4())})


def _path_of(deed: Deed, value: str) -> str:
    path = deed.route
    for name, _ in deed.converters:
        path = path.replace(f"{{{name}}}", value)
    return path


def _is_calm(answer: Any) -> bool:
    """Say whether nothing broke, nothing was smuggled into the headers, and no file was read."""
    known = answer.status_code < 500 or answer.json()["code"] in UPSTREAM
    return known and "Set-Cookie" not in answer.headers and b"root:x:" not in answer.content


def test_statements_are_put_together_from_constants_alone() -> None:
    """What reaches `execute` is a literal, a name in capitals, or an object of psycopg.sql that quotes by itself."""
    doubtful = [
        f"{short(path)}:{node.lineno}"
        for path in product_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"execute", "raw", "executemany"}
        and node.args
        and short(path) not in NAMES_OF_OURS
        and _is_pieced_together(node.args[0])
    ]

    assert doubtful == []


def _is_pieced_together(argument: ast.expr) -> bool:
    if isinstance(argument, ast.JoinedStr):
        return any(
            isinstance(part, ast.FormattedValue) and not ast.unparse(part.value).replace("_", "").isupper()
            for part in argument.values
        )
    return isinstance(argument, ast.BinOp)


def test_nothing_unpacks_objects_or_runs_text() -> None:
    banned = {"pickle", "marshal", "shelve", "yaml", "dill"}
    imported = [
        f"{short(path)}:{node.lineno}"
        for path in product_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Import) and any(name.name.split(".")[0] in banned for name in node.names)
    ]
    ran = [
        f"{short(path)}:{node.lineno}"
        for path in product_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}
    ]

    assert imported == []
    assert ran == []
