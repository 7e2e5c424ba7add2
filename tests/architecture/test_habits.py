"""Habits that the import graph cannot see."""

import ast
import enum
import importlib
import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from tests.architecture.sources import APPS, ROOT, dotted, product_files, short, tracked, tree_of

ASYNC_MODULES = {
    "kite.socket",
    "market_data.feed",
    "market_data.bus",
    "market_data.hub",
    "market_data.recorder",
    "market_data.replay_lane",
    "market_data.sockets",
    "market_data.event_streams",
    "market_data.together",
    "ticker_site.asgi",
    "ticker_site.bounded_body",
    "ticker_site.draining",
    "ticker_site.one_thread",
    "ticker_site.fast_websocket",
    "ops.panel",
    "accounts.authentication",
    "accounts.evidence",
    "accounts.middleware",
    "ops.management.commands.run_feed",
    "ops.management.commands.run_recorder",
}
ROOT_DOCUMENTS = {"README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"}
DOCUMENT_HOMES = ("docs/", "sandbox/README.md", "clients/")


def _is_async_home(path: Path) -> bool:
    name = dotted(path)
    return name in ASYNC_MODULES or name.endswith(".consumers") or ".feed" in name or ".hub" in name


def test_coroutines_live_only_where_sockets_do() -> None:
    strays = [
        f"{short(path)}:{node.lineno} {node.name}"
        for path in product_files()
        if not _is_async_home(path)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.AsyncFunctionDef)
    ]

    assert strays == []


def test_simulation_words_stay_outside_the_product() -> None:
    words = re.compile(r"\b(mock\w*|dry_run|paper)\b", re.IGNORECASE)
    hits = [
        f"{short(path)}:{number} {line.strip()}"
        for path in product_files()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if words.search(line)
    ]

    assert hits == []


def test_nothing_looks_models_up_by_name() -> None:
    hits = [
        f"{short(path)}:{node.lineno}"
        for path in product_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in {"get_model", "send_task"}
    ]

    assert hits == []


def test_no_module_holds_an_instance_of_our_own_class() -> None:
    held = []
    for path in product_files():
        name = dotted(path)
        if name.startswith("ticker_site") or ".management." in name or name.endswith(".__main__"):
            continue
        module = importlib.import_module(name)
        held += [f"{name}.{attribute}" for attribute, value in vars(module).items() if _is_own_instance(value)]

    assert held == []


def _is_own_instance(value: object) -> bool:
    kind = type(value)
    if kind.__module__.split(".")[0] not in APPS or isinstance(value, enum.Enum | type):
        return False
    frozen = is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return not frozen and not isinstance(value, tuple)


def test_tasks_are_enqueued_only_after_the_commit() -> None:
    hits = []
    for path in product_files():
        if dotted(path).endswith(".tasks"):
            continue
        tree = tree_of(path)
        allowed = {id(inner) for call in ast.walk(tree) if _is_on_commit(call) for inner in ast.walk(call)}
        hits += [
            f"{short(path)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in {"delay", "apply_async"} and id(node) not in allowed
        ]

    assert hits == []


def _is_on_commit(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "on_commit"


def test_broad_catches_are_explained_where_they_stand() -> None:
    bare = [
        f"{short(path)}:{node.lineno}"
        for path in product_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]

    assert bare == []


@pytest.mark.parametrize("name", tracked())
def test_the_tree_holds_no_litter(name: str) -> None:
    assert ".bak" not in name
    assert not name.endswith((".pyc", ".orig", ".rej", ".sqlite3"))
    if name.endswith(".md"):
        assert name in ROOT_DOCUMENTS or name.startswith(DOCUMENT_HOMES)


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    places = re.compile(r"(/work/|/home/[a-z]+/|\.library\b)")
    hits = [
        f"{name}: {match.group(0)}"
        for name in tracked()
        if name.endswith((".py", ".md", ".toml", ".txt", ".lock", ".yaml", ".yml", ".sh", ".js", ".html"))
        and name != "tests/architecture/test_habits.py"
        for match in [places.search((ROOT / name).read_text())]
        if match
    ]

    assert hits == []
