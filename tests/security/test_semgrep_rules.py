"""Each rule of deploy/semgrep bites on what it is about, and lets its neighbour pass."""

import re
from pathlib import Path
from typing import Any

import pytest

from ops.stack.semgrep import RULES, findings

# rule -> what it finds, and what it does not
SNIPPETS = {
    "order-sent-outside-execution": ("client.place_order(order)\n", "client.orders()\n"),
    "task-retried-by-itself": (
        "@shared_task(autoretry_for=(OSError,))\ndef send(): ...\n",
        "@shared_task(bind=True)\ndef send(self): ...\n",
    ),
    "token-believed-unverified": (
        'import jwt\njwt.decode(text, key, algorithms=["RS256"], options={"verify_signature": False})\n',
        'import jwt\njwt.decode(text, key, algorithms=["RS256"])\n',
    ),
    "request-without-timeout": (
        "import requests\nrequests.get(url)\n",
        "import requests\nrequests.get(url, timeout=5)\n",
    ),
    "wait-without-end": (
        "thread.join()\n",
        "thread.join(5)\nasync def stop():\n    await over.wait()\n",
    ),
    "child-without-end": (
        "import subprocess\nsubprocess.run(command, check=True)\n",
        "import subprocess\nsubprocess.run(command, check=True, timeout=5)\n",
    ),
    "thread-nobody-joins": (
        "import threading\nthreading.Thread(target=work, daemon=True)\n",
        "import threading\nthreading.Thread(target=work)\n",
    ),
    "code-out-of-data": ("import pickle\npickle.loads(data)\n", "import json\njson.loads(data)\n"),
    "statement-out-of-text": (
        'cursor.execute(f"SELECT {name}")\n',
        'cursor.execute("SELECT %s", [name])\n',
    ),
    "markup-trusted": ("mark_safe(text)\n", 'format_html("<b>{}</b>", text)\n'),
    "door-left-open": (
        "class Door:\n    permission_classes = [AllowAny]\n",
        "class Door:\n    permission_classes = [IsKnown]\n",
    ),
    "certificate-unchecked": ("session.get(url, verify=False)\n", "session.get(url, verify=ca_file)\n"),
    "secret-in-a-record": (
        'log.info("accounts.login", access_token=text)\n',
        'log.info("accounts.login", account=label)\n',
    ),
    "secret-revealed-to-a-record": (
        'log.info("accounts.login", name=secret.reveal())\n',
        'log.info("accounts.login", name=str(secret))\n',
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Return rule and file of everything that is found in the snippets."""
    folder = tmp_path_factory.mktemp("snippets")
    for rule, (bad, good) in SNIPPETS.items():
        Path(folder / f"{rule}.bad.py").write_text(bad)
        Path(folder / f"{rule}.good.py").write_text(good)
    results: list[dict[str, Any]] = findings(folder=folder, targets=["."])
    return [(each["check_id"].rpartition(".")[2], Path(each["path"]).name) for each in results]


@pytest.mark.parametrize("rule", SNIPPETS)
def test_a_rule_bites_and_lets_its_neighbour_pass(found: list[tuple[str, str]], rule: str) -> None:
    assert (rule, f"{rule}.bad.py") in found
    assert (rule, f"{rule}.good.py") not in found


def test_every_rule_is_tried() -> None:
    assert set(re.findall(r"^  - id: (\S+)$", RULES.read_text(), re.MULTILINE)) == set(SNIPPETS)
