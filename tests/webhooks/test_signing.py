"""The scheme's own vectors."""

import base64

import pytest

from webhooks.signing import check_secret, headers, signature

# From the test suites of the scheme's published libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(32)).decode()
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
EXPECTED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
def test_the_published_vector_is_signed_as_published(secret: str) -> None:
    assert signature(secret=secret, message_id=MESSAGE_ID, timestamp=TIMESTAMP, body=BODY) == EXPECTED


@pytest.mark.parametrize(
    ("message_id", "timestamp", "body"),
    [("msg_other", TIMESTAMP, BODY), (MESSAGE_ID, TIMESTAMP + 1, BODY), (MESSAGE_ID, TIMESTAMP, BODY + b" ")],
)
def test_what_is_signed_cannot_be_changed(message_id: str, timestamp: int, body: bytes) -> None:
    assert signature(secret=SECRET, message_id=message_id, timestamp=timestamp, body=body) != EXPECTED


def test_two_secrets_in_force_both_sign() -> None:
    made = headers(secrets_in_force=[SECRET, OTHER], message_id=MESSAGE_ID, timestamp=TIMESTAMP, body=BODY)

    signatures = made["webhook-signature"].split(" ")
    assert signatures[0] == EXPECTED
    assert len(signatures) == 2
    assert (made["webhook-id"], made["webhook-timestamp"]) == (MESSAGE_ID, str(TIMESTAMP))


@pytest.mark.parametrize("length", [24, 64])
def test_a_secret_of_the_schemes_form_is_taken(length: int) -> None:
    check_secret("whsec_" + base64.b64encode(bytes(length)).decode())


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (SECRET.removeprefix("whsec_"), "begins with whsec_"),
        ("whsec_no base64", "is base64"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "was 23"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "was 65"),
    ],
)
def test_a_secret_of_another_form_is_refused_with_its_reason(secret: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_secret(secret)


def test_a_secret_that_is_not_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        signature(secret="whsec_!", message_id=MESSAGE_ID, timestamp=TIMESTAMP, body=BODY)
