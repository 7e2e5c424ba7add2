"""A02 and API8: settings of a production, headers of every answer, origins, methods."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from redis import Redis

from tests.architecture.sources import ROOT

ORIGIN = "https://evil.example"


def production(folder: Path, **changes: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PRODUCTION": "true",
        "SECRET_KEY": "x" * 25 + "0123456789abcdefghijklmnopqrstuv",
        "API_KEY_PEPPER": "pepper",
        "DATABASE_URL": os.environ["DATABASE_URL"],
        "REDIS_URL": os.environ["REDIS_URL"],
        "PUBLIC_URL": "https://desk.example",
        "ALLOWED_HOSTS": "desk.example",
        "TICKER_DATA_DIR": str(folder),
        **changes,
    }


def manage(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_production_has_no_finding(tmp_path: Path) -> None:
    environment = production(tmp_path)
    made = manage("init_keyring", environment=environment)
    assert made.returncode == 0, made.stderr

    done = manage("check", "--deploy", "--fail-level", "WARNING", environment=environment)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "API_KEY_PEPPER", "DATABASE_URL", "REDIS_URL"])
def test_it_does_not_start_without_a_secret(tmp_path: Path, name: str) -> None:
    environment = production(tmp_path)
    del environment[name]
    environment.pop("DJANGO_SETTINGS_MODULE", None)

    done = manage("check", environment=environment)

    assert done.returncode != 0
    assert name in done.stderr


def test_debug_in_production_is_refused(tmp_path: Path) -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", environment=production(tmp_path, DEBUG="true"))

    assert done.returncode != 0


@pytest.mark.parametrize("path", ["/admin/login/", "/api/v1/me", "/healthz", "/nowhere"])
def test_every_answer_carries_the_headers(db: None, clean_redis: Redis, path: str) -> None:
    answer = Client().get(path, follow=False)

    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert "object-src 'none'" in answer["Content-Security-Policy"]
    assert "camera=()" in answer["Permissions-Policy"]


@pytest.mark.parametrize("method", ["get", "options", "post"])
def test_no_origin_but_ours_is_allowed(db: None, clean_redis: Redis, method: str) -> None:
    answer = getattr(Client(), method)(
        "/api/v1/orders", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    )

    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_a_foreign_host_is_refused(db: None, clean_redis: Redis) -> None:
    assert Client(headers={"Host": "evil.example"}).get("/admin/login/").status_code == 400


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/schema", "/api/v1/docs", "/api/v1/me"])
def test_nothing_about_the_inside_is_public(db: None, clean_redis: Redis, path: str) -> None:
    answer = Client().get(path)

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"


def test_an_unknown_method_is_refused(keyed: Callable[..., Client]) -> None:
    answer = keyed().generic("TRACE", "/api/v1/orders")

    assert answer.status_code in {403, 405}


def test_an_unknown_content_type_is_named(keyed: Callable[..., Client]) -> None:
    answer = keyed().post("/api/v1/orders", "<order/>", content_type="application/xml")

    assert answer.status_code == 415
    assert answer.json()["code"] == "unsupported_media_type"


def test_an_error_tells_nothing_about_the_inside(keyed: Callable[..., Client]) -> None:
    answer: Any = keyed().post("/api/v1/orders", "{", content_type="application/json")

    assert answer.status_code == 400
    assert "Traceback" not in answer.content.decode()
    assert str(ROOT) not in answer.content.decode()
