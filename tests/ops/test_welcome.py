"""The welcome screen can be pasted into a shell."""

import json
import shlex
import sys

import pytest

from ops.stack.installation import Bootstrap
from ops.stack.welcome import welcome

ENVIRONMENT = {"PUBLIC_URL": "https://desk.example", "ADMIN_PASSWORD": "open-sesame"}
BOOTSTRAP = Bootstrap(admin_user="admin", account="asha", api_key="tk_abc")


@pytest.fixture
def screen() -> str:
    return welcome(environment=ENVIRONMENT, bootstrap=BOOTSTRAP, sandboxed=True)


def words(screen: str, program: str) -> list[str]:
    start = screen.index(program)
    return shlex.split(screen[start:].replace("\\\n", " ").split("\n")[0])


def test_it_says_where_the_panel_is_and_how_to_sign_in(screen: str) -> None:
    assert "https://desk.example/admin/desk/" in screen
    assert "admin / open-sesame" in screen


def test_it_says_how_to_sign_in_without_an_app(screen: str) -> None:
    assert words(screen, f"{sys.executable} manage.py")[2:] == ["one_time_code", "admin", "--reason", "no app"]


def test_the_order_is_a_whole_request(screen: str) -> None:
    call = words(screen, "curl ")

    body = json.loads(call[call.index("-d") + 1])
    assert call[2] == "https://desk.example/api/v1/orders"
    assert "Authorization: Bearer tk_abc" in call
    assert any(word.startswith("Idempotency-Key: ") for word in call)
    assert body["account"] == "asha"
    assert body["quantity"] == 1


def test_the_stream_is_one_line_of_python(screen: str) -> None:
    source = words(screen, f"{sys.executable} -c ")[2]

    compile(source, "stream", "exec")
    assert "wss://desk.example/ws/v1/ticks" in source
    assert "Bearer tk_abc" in source


def test_an_order_in_the_real_market_is_called_one() -> None:
    assert "real money" in welcome(environment=ENVIRONMENT, bootstrap=BOOTSTRAP, sandboxed=False)
