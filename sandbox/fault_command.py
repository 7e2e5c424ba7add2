"""`python -m sandbox fault`: start, list and end faults of a running exchange; and the words that describe a fault."""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

from sandbox.faults import KINDS

FORM = "kind=…[,account=…][,route=…][,probability=…][,count=…][,from=SECONDS][,until=SECONDS][,option=…]"
NAMES = {"account": "user", "from": "after"}
NUMBERS = frozenset({"probability", "every", "count", "after", "until", "duration"})


def parse_fault(text: str) -> dict[str, object]:
    """Read `kind=http_5xx,account=SBX001,route=order.*,probability=0.5,from=10,until=60`; seconds count from now."""
    spec: dict[str, object] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not name or not equals:
            raise argparse.ArgumentTypeError(f"{part!r} is not name=value")
        name = NAMES.get(name, name)
        spec[name] = _value(value, is_number=name in NUMBERS)
    if spec.get("kind") not in KINDS:
        raise argparse.ArgumentTypeError(f"kind was {spec.get('kind')!r}; known: {', '.join(sorted(KINDS))}")
    return _with_window(spec)


def _with_window(spec: dict[str, object]) -> dict[str, object]:
    """Turn the end of the window into its length."""
    if "until" not in spec:
        return spec
    until, after = float(str(spec.pop("until"))), float(str(spec.get("after", 0.0)))
    if until <= after:
        raise argparse.ArgumentTypeError(f"until must be after from, was {until:g} and {after:g}")
    return {**spec, "duration": until - after}


def _value(text: str, *, is_number: bool) -> object:
    if text in {"true", "false"} and not is_number:
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if is_number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return text


def describe_faults() -> str:
    """Return every kind with what it does, a line each."""
    width = max(map(len, KINDS))
    return "\n".join(f"  {kind:<{width}}  {what}" for kind, what in KINDS.items())


def fault_parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m sandbox fault",
        description="Start faults in a running exchange; without one, list those that are active.",
        epilog=f"a fault is {FORM}\n\nkinds:\n{describe_faults()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("faults", nargs="*", type=parse_fault, metavar="FAULT", help="kind=…,account=…,…: see below")
    result.add_argument("--credentials-file", type=Path, required=True, help="where the exchange wrote its control key")
    result.add_argument("--clear", nargs="?", const="all", metavar="ID", help="end one fault, or all of them")
    return result


def run_fault_command(arguments: list[str]) -> int:
    """Carry the command out and print the answers; return the exit code."""
    chosen = fault_parser().parse_args(arguments)
    document = json.loads(chosen.credentials_file.read_text(encoding="utf-8"))
    calls: list[tuple[str, str, object]] = [("POST", "/faults", spec) for spec in chosen.faults]
    if chosen.clear is not None:
        calls.insert(0, ("DELETE", "/faults" if chosen.clear == "all" else f"/faults/{chosen.clear}", {}))
    for method, path, body in calls or [("GET", "/faults", {})]:
        try:
            answer = _call(method, f"{document['control_url']}{path}", str(document["control_key"]), body)
        except (urllib.error.URLError, OSError) as error:
            sys.stderr.write(f"{method} {path}: {error}\n")
            return 1
        sys.stdout.write(f"{answer}\n")
    return 0


def _call(method: str, url: str, control_key: str, body: object) -> str:
    headers = {"X-Control-Key": control_key, "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.dumps(json.load(answer)["data"])
