"""Signing in at the panel: password, second factor, how long it lasts, and being asked once more."""

import base64
import io
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django_otp.oath import hotp

from accounts import second_factor, sign_ins
from accounts.errors import SecondFactorLocked, SecondFactorWrong
from accounts.guards import RecoveryCode, SecondFactor, SignIn
from accounts.models import AuditEntry, User
from tests.factories import UserFactory
from tests.panel_client import PanelClient

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture
def asha() -> User:
    """Return an operator who has never signed in."""
    person = UserFactory(username="asha", role=User.Role.OPERATOR, is_staff=True)
    person.set_password(PASSWORD)
    person.save()
    return person


@pytest.fixture
def browser() -> Client:
    """Return a browser nobody is signed in with."""
    return Client()


def code_of(user: User, *, now: datetime, steps: int = 0) -> str:
    secret = SecondFactor.objects.get(user=user).secret.reveal()
    step = int(now.timestamp()) // second_factor.STEP_SECONDS + steps
    return f"{hotp(base64.b32decode(secret), step, second_factor.DIGITS):06}"


def enrolled(user: User, now: datetime) -> list[str]:
    second_factor.enrolment_of(user=user, now=now)
    return second_factor.confirm(user=user, code=code_of(user, now=now, steps=-1), now=now)


def give_password(browser: Client, name: str = "asha", password: str = PASSWORD, **extra: Any) -> Any:
    return browser.post("/admin/login/?next=/admin/", {"username": name, "password": password}, **extra)


def test_the_first_sign_in_sets_the_second_factor_up(browser: Client, asha: User, now: datetime) -> None:
    answer = browser.post("/admin/login/?next=/admin/", {"username": "asha", "password": PASSWORD}, follow=True)
    assert answer.redirect_chain[-1][0] == "/admin/second-factor/?next=/admin/"
    assert "<svg" in answer.text
    assert browser.get("/admin/").status_code == 302

    answer = browser.post("/admin/second-factor/?next=/admin/", {"code": code_of(asha, now=now)})

    assert len(re.findall(r"<li>([a-z2-7-]{19})</li>", answer.text)) == second_factor.RECOVERY_CODES
    assert browser.get("/admin/").status_code == 200
    assert SignIn.objects.get().user == asha


def test_a_password_alone_opens_nothing(browser: Client, asha: User, now: datetime) -> None:
    enrolled(asha, now)
    give_password(browser)

    for page in ("desk", "desk-state", "admin:index", "confirm"):
        assert browser.get(reverse(page)).status_code == 302
    assert browser.get("/api/v1/me").status_code in {401, 403}


def test_a_code_of_the_app_lets_in(browser: Client, asha: User, now: datetime) -> None:
    enrolled(asha, now)
    give_password(browser)

    answer = browser.post("/admin/second-factor/?next=/admin/", {"code": code_of(asha, now=datetime.now(UTC))})

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert browser.get("/admin/").status_code == 200


def test_a_code_counts_once(asha: User, now: datetime) -> None:
    enrolled(asha, now)
    code = code_of(asha, now=now)
    second_factor.verify(user=asha, code=code, now=now)

    with pytest.raises(SecondFactorWrong):
        second_factor.verify(user=asha, code=code, now=now)


def test_a_recovery_code_lets_in_once(asha: User, now: datetime) -> None:
    codes = enrolled(asha, now)
    second_factor.verify(user=asha, code=codes[3].upper(), now=now)

    with pytest.raises(SecondFactorWrong):
        second_factor.verify(user=asha, code=codes[3], now=now)
    assert second_factor.codes_left(asha) == second_factor.RECOVERY_CODES - 1


def test_five_wrong_codes_lock_the_second_factor(asha: User, now: datetime) -> None:
    enrolled(asha, now)
    for _ in range(second_factor.MOST_FAILURES):
        with pytest.raises(SecondFactorWrong):
            second_factor.verify(user=asha, code="abc", now=now)

    with pytest.raises(SecondFactorLocked):
        second_factor.verify(user=asha, code=code_of(asha, now=now), now=now)
    later = now + second_factor.LOCKED_FOR
    second_factor.verify(user=asha, code=code_of(asha, now=later), now=later)


def test_the_secret_of_the_app_is_sealed(asha: User, now: datetime) -> None:
    enrolled(asha, now)
    secret = SecondFactor.objects.get().secret.reveal()

    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM accounts_secondfactor")
        stored = bytes(cursor.fetchone()[0])

    assert secret.encode() not in stored
    assert base64.b32decode(secret) not in stored


def test_recovery_codes_are_stored_as_digests(asha: User, now: datetime) -> None:
    codes = enrolled(asha, now)

    stored = set(RecoveryCode.objects.values_list("digest", flat=True))

    assert not stored & {code.replace("-", "") for code in codes}


def test_a_code_from_the_shell_lets_in_once_within_ten_minutes(browser: Client, asha: User, now: datetime) -> None:
    out = io.StringIO()
    call_command("one_time_code", "asha", "--reason", "no telephone", stdout=out)
    give_password(browser)

    answer = browser.post("/admin/second-factor/", {"code": out.getvalue().strip()})

    assert answer.status_code == 302
    assert browser.get("/admin/").status_code == 200
    assert AuditEntry.objects.get(action="accounts.second_factor.shell_code").reason == "no telephone"
    text = second_factor.issue_from_the_shell(user=asha, actor="shell", reason="again", now=now)
    with pytest.raises(SecondFactorWrong):
        second_factor.verify(user=asha, code=text, now=now + second_factor.SHELL_CODE_LASTS)


def test_no_shell_code_for_nobody() -> None:
    with pytest.raises(CommandError, match="no active user"):
        call_command("one_time_code", "nobody", "--reason", "why")


def test_the_page_after_the_sign_in_is_one_of_ours(browser: Client, asha: User, now: datetime) -> None:
    enrolled(asha, now)
    browser.post("/admin/login/?next=https://elsewhere.example/", {"username": "asha", "password": PASSWORD})

    answer = browser.post(
        "/admin/second-factor/?next=https://elsewhere.example/", {"code": code_of(asha, now=datetime.now(UTC))}
    )

    assert answer["Location"] == reverse("desk")


def test_signing_in_changes_the_session_key(browser: Client, asha: User, now: datetime) -> None:
    enrolled(asha, now)
    give_password(browser)
    before = browser.session.session_key

    browser.post("/admin/second-factor/", {"code": code_of(asha, now=datetime.now(UTC))})

    assert browser.session.session_key != before


def test_five_wrong_passwords_lock_a_name_at_an_address(browser: Client, asha: User) -> None:
    answers = [give_password(browser, password="wrong").status_code for _ in range(5)]

    assert answers[-1] == 429
    assert give_password(browser).status_code == 429
    elsewhere = give_password(browser, REMOTE_ADDR="203.0.113.9")
    assert elsewhere.status_code == 302


def test_an_unknown_name_is_locked_with_the_same_words(browser: Client, asha: User) -> None:
    known = [re.sub("asha", "NAME", give_password(browser, password="wrong").text) for _ in range(6)]
    unknown = [re.sub("nobody", "NAME", give_password(browser, "nobody").text) for _ in range(6)]

    hide = re.compile(r'name="csrfmiddlewaretoken" value="[^"]+"')
    assert [hide.sub("", text) for text in known] == [hide.sub("", text) for text in unknown]


def test_thirty_wrong_passwords_lock_an_address_for_every_name(browser: Client, asha: User) -> None:
    for number in range(30):
        give_password(browser, f"guess-{number}", "wrong")

    assert give_password(browser).status_code == 429


def test_a_lock_out_does_not_touch_who_is_signed_in(client: PanelClient, browser: Client, asha: User) -> None:
    client.force_login(asha)
    for _ in range(6):
        give_password(browser, password="wrong")

    answer = client.post(reverse("desk-verb", args=["halt"]), {"reason": "an attack", "target": ""})

    assert answer.status_code == 200, answer.text


def test_a_lock_out_does_not_touch_the_command_line(browser: Client, asha: User) -> None:
    for _ in range(6):
        give_password(browser, password="wrong")

    call_command("halt", "--reason", "an attack", stdout=io.StringIO())

    assert AuditEntry.objects.filter(action="ops.halt.engaged").exists()


@pytest.mark.parametrize(
    ("column", "age"), [("seen_at", sign_ins.IDLE), ("began_at", sign_ins.LONGEST)], ids=["idle", "too old"]
)
def test_a_session_ends_when_it_idles_or_grows_old(
    client: PanelClient, asha: User, now: datetime, column: str, age: timedelta
) -> None:
    client.force_login(asha)
    assert client.get("/admin/").status_code == 200
    SignIn.objects.update(**{column: now - age})

    assert client.get("/admin/").status_code == 302
    assert SignIn.objects.get().ended_at is not None


def test_use_keeps_a_session_alive(client: PanelClient, asha: User, now: datetime) -> None:
    client.force_login(asha)
    SignIn.objects.update(seen_at=now - timedelta(minutes=14))

    client.get("/admin/")

    assert SignIn.objects.get().seen_at > now - timedelta(minutes=1)


def test_a_session_without_a_sign_in_is_nobodys(asha: User) -> None:
    browser = Client()
    browser.force_login(asha)

    assert browser.get("/admin/").status_code == 302
    assert browser.get("/api/v1/me").status_code in {401, 403}


def test_the_oldest_of_four_sessions_ends(asha: User, now: datetime) -> None:
    held = [
        sign_ins.begin(user=asha, address=None, browser="", now=now + timedelta(seconds=number)) for number in range(4)
    ]

    still_open = SignIn.objects.filter(ended_at__isnull=True).values_list("pk", flat=True)

    assert set(still_open) == {row.pk for row in held[1:]}


def test_an_ended_sign_in_is_out_at_once(client: PanelClient, asha: User, now: datetime) -> None:
    client.force_login(asha)
    sign_ins.end(sign_in_id=SignIn.objects.get().pk, actor="binod", reason="left the firm", now=now)

    assert client.get("/admin/").status_code == 302


def test_signing_out_ends_the_sign_in(client: PanelClient, asha: User) -> None:
    client.force_login(asha)

    client.post("/admin/logout/")

    assert SignIn.objects.get().ended_at is not None
    assert client.get("/admin/").status_code == 302


def test_a_reset_forgets_the_app_and_ends_the_sessions(client: PanelClient, asha: User, now: datetime) -> None:
    enrolled(asha, now)
    client.force_login(asha)

    second_factor.reset(user=asha, actor="binod", reason="the telephone is lost", now=now)

    assert client.get("/admin/").status_code == 302
    assert not SecondFactor.objects.exists()
    assert not RecoveryCode.objects.exists()


@pytest.mark.parametrize("how", ["code", "password"])
def test_confirming_with_a_code_or_the_password_steps_up(
    client: PanelClient, asha: User, now: datetime, how: str
) -> None:
    enrolled(asha, now)
    client.force_login(asha)
    client.grow_stale()
    before = client.session.session_key
    form = {"code": code_of(asha, now=datetime.now(UTC))} if how == "code" else {"password": PASSWORD}

    answer = client.post(f"{reverse('confirm')}?next=/admin/", form)

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.session.session_key != before
    assert sign_ins.is_fresh(SignIn.objects.get(), now=datetime.now(UTC))


def test_a_wrong_answer_does_not_step_up(client: PanelClient, asha: User, now: datetime) -> None:
    enrolled(asha, now)
    client.force_login(asha)
    client.grow_stale()

    page = client.post(reverse("confirm"), {"password": "wrong"})
    dialog = client.post(reverse("confirm"), {"code": "000"}, headers={"Accept": "application/json"})

    assert page.status_code == 200
    assert (dialog.status_code, dialog.json()["code"]) == (403, "second_factor_wrong")
    assert not sign_ins.is_fresh(SignIn.objects.get(), now=datetime.now(UTC))


def test_over_https_the_cookies_belong_to_this_host_alone() -> None:
    # The settings of another process: this one serves plain HTTP.
    code = (
        "from django.conf import settings as s; "
        "print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY, "
        "s.SESSION_COOKIE_SAMESITE)"
    )

    assert said_by_settings(code, PUBLIC_URL="https://desk.example") == "__Host-session __Host-csrf True True Lax"


def said_by_settings(code: str, **environment: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "ticker_site.settings", **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return answer.stdout.strip()
