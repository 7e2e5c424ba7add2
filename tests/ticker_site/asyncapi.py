"""The document of the sockets, as a judge of what is sent on them."""

from functools import cache
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.architecture.sources import ROOT


@cache
def document() -> Any:
    """Return the document."""
    return yaml.safe_load((ROOT / "docs/api/asyncapi.yaml").read_text())


def commands(channel: str) -> list[dict[str, Any]]:
    """Return the examples of what a client of the channel may send."""
    (name,) = _messages(channel, action="receive")
    return [example["payload"] for example in document()["components"]["messages"][name]["examples"]]


def faults(channel: str, message: Any) -> list[str]:
    """Return why a message the server sent on the channel is none of those described; nothing where it is one."""
    said = []
    for name in _messages(channel, action="send"):
        errors = list(_validator(name).iter_errors(message))
        if not errors:
            return []
        said.append(f"{name}: {errors[0].message[:120]}")
    return [f"{message.get('t')} {str(message)[:200]}", *said]


def _messages(channel: str, *, action: str) -> list[str]:
    return [
        entry["$ref"].rpartition("/")[2]
        for operation in document()["operations"].values()
        if operation["action"] == action and operation["channel"]["$ref"] == f"#/channels/{channel}"
        for entry in operation["messages"]
    ]


@cache
def _validator(name: str) -> Draft202012Validator:
    payload = document()["components"]["messages"][name]["payload"]
    return Draft202012Validator({**payload, "components": document()["components"]})
