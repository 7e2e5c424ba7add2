"""The tree as the architecture tests read it."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("ticker_site", "ops", "portfolio", "greeks", "orders", "market_data", "webhooks", "accounts", "kite")


@cache
def tracked() -> tuple[str, ...]:
    """Return every file of the repository that git knows or would add, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(name for name in listing.stdout.splitlines() if (ROOT / name).is_file())


def product_files() -> Iterator[Path]:
    """Yield the Python files of the product: no sandbox, tests, migrations."""
    for name in tracked():
        if name.endswith(".py") and name.split("/")[0] in APPS and "/migrations/" not in name:
            yield ROOT / name


def code_files() -> Iterator[Path]:
    """Yield the product's files and the sandbox's."""
    yield from product_files()
    yield from (ROOT / name for name in tracked() if name.startswith("sandbox/") and name.endswith(".py"))


def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(), filename=str(path))


def dotted(path: Path) -> str:
    """Return the module name of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def short(path: Path) -> str:
    """Return the path as a reader of a failure wants it."""
    return str(path.relative_to(ROOT))
