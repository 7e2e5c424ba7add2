"""A04: no primitive that is broken, no check that is switched off, no secret in the tree."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings

from tests.architecture.sources import ROOT, code_files, product_files, short, tracked, tree_of

BROKEN = {"md5", "sha1", "DES", "ARC4", "Blowfish", "ECB"}
# Its digests are no secrets: they say whether a row was changed.
CHAIN = "accounts/audit.py"
ALPHABET = "orders/tags.py"
# What the scanner takes for a secret and is none: an alphabet, words about secrets, an address with a sample password,
# examples of the schema, digests of files we did not write.
NO_SECRETS = {
    (ALPHABET, "Base64 High Entropy String"),
    (".env.example", "Basic Auth Credentials"),
    ("benchmarks/fanout/servers/wiring.py", "Secret Keyword"),
    ("deploy/kiteconnect/backend.py", "Hex High Entropy String"),
    ("deploy/kubernetes/overlays/desk/ingress.yaml", "Secret Keyword"),
    ("deploy/kubernetes/overlays/desk/kustomization.yaml", "Secret Keyword"),
    ("docs/api/openapi.yaml", "Base64 High Entropy String"),
    ("docs/api/openapi.yaml", "Secret Keyword"),
    ("kite/limits.py", "Secret Keyword"),
    ("ops/backup.py", "Secret Keyword"),
    ("ops/static/vendor/vendored.json", "Hex High Entropy String"),
    ("sandbox/postbacks.py", "Secret Keyword"),
    ("ticker_site/examples.json", "Base64 High Entropy String"),
    ("ticker_site/examples.json", "Secret Keyword"),
}
OUR_KEY = re.compile(r"tkr_live_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}")


def names_used(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id


def test_no_broken_primitive_is_used() -> None:
    used = [
        f"{short(path)}:{line} {name}" for path in product_files() for line, name in names_used(path) if name in BROKEN
    ]

    assert used == []


def test_no_certificate_check_is_switched_off() -> None:
    text = re.compile(r"verify\s*=\s*False|CERT_NONE|check_hostname\s*=\s*False|_create_unverified_context")
    off = [short(path) for path in product_files() if text.search(path.read_text())]

    assert off == []


def test_chance_that_guards_something_is_cryptographic() -> None:
    """`random` decides when something is tried again, never a key, a code or a nonce."""
    guarded = ("accounts/", "orders/tags.py", "kite/checksum.py")
    weak = [
        f"{short(path)}:{node.lineno}"
        for path in product_files()
        if short(path).startswith(guarded)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Import) and any(name.name == "random" for name in node.names)
    ]

    assert weak == []


def test_no_token_is_verified_with_its_own_word() -> None:
    text = re.compile(r"verify_signature|get_unverified_header|algorithms\s*=\s*\[\s*header")
    trusting = [short(path) for path in product_files() if text.search(path.read_text())]

    assert trusting == []


def test_the_tree_holds_no_secret() -> None:
    found = SecretsCollection()
    with default_settings():
        for name in tracked():
            if not name.startswith(("tests/", "requirements")) and not name.endswith((".lock", ".png", ".js", ".csv")):
                found.scan_file(str(ROOT / name))
    hits = {(str(Path(name).relative_to(ROOT)), secret.type) for name, secret in found}

    assert hits - NO_SECRETS == set()


def test_the_tree_holds_no_key_of_ours() -> None:
    holding = [
        name
        for name in tracked()
        if name.endswith((".py", ".md", ".html", ".js", ".yaml", ".yml", ".toml", ".example"))
        and OUR_KEY.search((ROOT / name).read_text())
    ]

    assert holding == []


def test_secrets_are_compared_in_constant_time() -> None:
    """A digest, a checksum or a code meets another one in hmac.compare_digest alone."""
    secretish = re.compile(r"digest|checksum|signature|pepper")
    compared = [
        f"{short(path)}:{node.lineno}"
        for path in code_files()
        if short(path).startswith(("accounts/", "orders/", "ops/", "ticker_site/")) and short(path) != CHAIN
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Compare)
        and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
        and any(
            isinstance(side, ast.Call) and secretish.search(ast.unparse(side.func))
            for side in [node.left, *node.comparators]
        )
    ]

    assert compared == []
