"""API2: whatever is offered in place of a key is refused in the same words."""

import pytest
from django.test import Client
from redis import Redis

PATH = "/api/v1/me"
OFFERED = {
    "nothing": None,
    "another scheme": "Basic YWRtaW46YWRtaW4=",
    "a scheme alone": "Bearer",
    "two keys": "Bearer tkr_live_AAAAAAAA_" + "x" * 43 + " tkr_live_BBBBBBBB_" + "x" * 43,
    "a key nobody has": "Bearer tkr_live_AAAAAAAA_" + "x" * 43,
    "a short key": "Bearer tkr_live_AAAAAAAA_x",
    "a huge key": "Bearer " + "x" * 9000,
    "something like a token": "Bearer eyJhbGciOiJub25lIn0.e30.",
    "invisible characters": "Bearer tkr_live_AAAAAAAA_\u00a0",
    "the former header's value": "Token abc",
}


@pytest.mark.parametrize("what", OFFERED)
def test_what_is_no_key_is_refused(db: None, clean_redis: Redis, what: str) -> None:
    header = OFFERED[what]

    answer = Client(headers={} if header is None else {"Authorization": header}).get(PATH)

    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_refusal_does_not_tell_a_known_key_from_an_unknown(db: None, clean_redis: Redis) -> None:
    said = {
        Client(headers={"Authorization": f"Bearer tkr_live_{prefix}_{'x' * 43}"}).get(PATH).content
        for prefix in ("AAAAAAAA", "BBBBBBBB")
    }

    assert len(said) == 1
