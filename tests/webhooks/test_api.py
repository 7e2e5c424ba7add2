"""The webhooks API as a client sees it."""

from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import AuditEntry, User
from accounts.queries import Principal, principal_of
from tests.canaries import canary
from tests.factories import BrokerAccountFactory, UserFactory
from tests.panel_client import PanelClient
from tests.sandbox_server import wait_for
from tests.webhooks.conftest import OTHER_SECRET, SECRET
from tests.webhooks.receiver import Receiver
from webhooks import tasks
from webhooks.models import Delivery, Endpoint

pytestmark = pytest.mark.usefixtures("clean_redis")


def client_of(principal: Principal) -> APIClient:
    client = APIClient()
    client.force_authenticate(user=User.objects.get(pk=principal.user_id), token=principal)  # type: ignore[arg-type]
    return client


@pytest.fixture
def api(owner: Principal) -> APIClient:
    return client_of(owner)


def post(api: APIClient, body: dict[str, Any]) -> Any:
    return api.post("/api/v1/webhooks", {"secret": SECRET, **body}, format="json")


def test_no_answer_shows_a_secret(api: APIClient, receiver: Receiver) -> None:
    answer = post(api, {"url": receiver.url, "kinds": ["orders.*"]})
    rotated = api.post(f"{answer['Location']}/secret", {"secret": OTHER_SECRET}, format="json")

    shown = api.get(answer["Location"]).json()

    assert (answer.status_code, rotated.status_code) == (201, 200)
    assert answer.json() == rotated.json() == shown
    assert not [name for name in shown if "secret" in name]
    held = Endpoint.objects.get()
    assert (held.secret.reveal(), held.former_secret.reveal()) == (OTHER_SECRET, SECRET)


UNFIT = [
    ({}, "required"),
    ({"secret": ""}, "blank"),
    ({"secret": "hunter2-" + canary(3)}, "begins with whsec_"),
    ({"secret": "whsec_" + canary(4)[:-1]}, "is base64"),
    ({"secret": "whsec_" + "\u00e9" * 32}, "is base64"),
    ({"secret": "whsec_" + canary(5)[:28]}, "24 to 64 bytes, was 21"),
    ({"secret": SECRET * 3}, "no more than 100 characters"),
]


@pytest.mark.parametrize(("body", "reason"), UNFIT)
def test_a_webhook_without_a_fit_secret_is_refused_with_the_reason(
    api: APIClient, receiver: Receiver, body: dict[str, Any], reason: str
) -> None:
    answer = api.post("/api/v1/webhooks", {"url": receiver.url, "kinds": ["orders.*"], **body}, format="json")

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["secret"]
    assert reason in str(answer.json()["errors"]["secret"])
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(("body", "reason"), UNFIT)
def test_an_unfit_secret_changes_nothing(api: APIClient, receiver: Receiver, body: dict[str, Any], reason: str) -> None:
    place = post(api, {"url": receiver.url, "kinds": ["orders.*"]})["Location"]

    answer = api.post(f"{place}/secret", body, format="json")

    assert answer.status_code == 400
    assert reason in str(answer.json()["errors"]["secret"])
    held = Endpoint.objects.get()
    assert (held.secret.reveal(), held.former_secret) == (SECRET, None)


def test_a_private_address_is_refused_by_name(api: APIClient) -> None:
    answer = post(api, {"url": "https://169.254.169.254/", "kinds": ["*"]})

    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["field"]) == ("address_refused", "url")
    assert answer.json()["outcome"] == "not_sent"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kinds": ["*"]}, "url"),
        ({"url": "https://93.184.215.14/"}, "kinds"),
        ({"url": "https://93.184.215.14/", "kinds": []}, "kinds"),
        ({"url": "https://93.184.215.14/", "kinds": ["Orders!"]}, "kinds"),
        ({"url": "https://93.184.215.14/", "kinds": ["*"], "secrets": "mine"}, "secrets"),
    ],
)
def test_a_faulty_body_names_the_field(api: APIClient, body: dict[str, Any], field: str) -> None:
    answer = post(api, body)

    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_who_sees_some_accounts_names_them(receiver: Receiver, db: None) -> None:
    account = BrokerAccountFactory(label="mine")
    user = UserFactory(role="operator")
    user.accounts.add(account)
    api = client_of(principal_of(user))

    every = post(api, {"url": receiver.url, "kinds": ["*"]})
    own = post(api, {"url": receiver.url, "kinds": ["*"], "accounts": ["mine"]})
    foreign = post(api, {"url": receiver.url, "kinds": ["*"], "accounts": ["other"]})

    assert [every.status_code, own.status_code, foreign.status_code] == [403, 201, 404]


def test_a_trader_adds_no_webhook(receiver: Receiver, db: None) -> None:
    api = client_of(principal_of(UserFactory(role="trader", every_account=True)))

    assert post(api, {"url": receiver.url, "kinds": ["*"]}).status_code == 403


def test_another_persons_webhook_is_unknown(api: APIClient, receiver: Receiver) -> None:
    place = post(api, {"url": receiver.url, "kinds": ["*"]})["Location"]
    account = BrokerAccountFactory()
    user = UserFactory(role="operator")
    user.accounts.add(account)

    assert client_of(principal_of(user)).get(place).status_code == 404


def test_a_test_message_goes_through_the_queue_and_the_worker(
    api: APIClient, receiver: Receiver, django_capture_on_commit_callbacks: Any
) -> None:
    place = post(api, {"url": receiver.url, "kinds": ["orders.*"]})["Location"]
    with django_capture_on_commit_callbacks(execute=True):
        answer = api.post(f"{place}/test")
    tasks.deliver(answer.json()["id"])

    shown = api.get(f"/api/v1/webhooks/deliveries/{answer.json()['id']}").json()

    wait_for(lambda: receiver.heard)
    assert answer.status_code == 202
    assert (shown["state"], shown["body"]["type"], shown["log"][0]["status"]) == ("delivered", "webhooks.test", 200)


def test_the_dead_are_listed_and_sent_again(api: APIClient, receiver: Receiver) -> None:
    receiver.statuses = [410, 200]
    place = post(api, {"url": receiver.url, "kinds": ["*"]})["Location"]
    sent = api.post(f"{place}/test").json()
    tasks.deliver(sent["id"])
    dead = api.get("/api/v1/webhooks/deliveries", {"state": "dead"}).json()["results"]
    early = api.post(f"/api/v1/webhooks/deliveries/{sent['id']}/replay")
    api.patch(place, {"enabled": True}, format="json")

    again = api.post(f"/api/v1/webhooks/deliveries/{sent['id']}/replay")
    tasks.sweep()
    tasks.deliver(sent["id"])

    assert [row["id"] for row in dead] == [sent["id"]]
    assert (early.status_code, early.json()["code"]) == (409, "delivery_not_replayable")
    assert again.status_code == 202
    assert Delivery.objects.get().state == Delivery.State.DELIVERED


def test_an_operator_sends_messages_again_and_says_why(api: APIClient, receiver: Receiver) -> None:
    place = post(api, {"url": receiver.url, "kinds": ["*"]})["Location"]
    sent, waiting = (api.post(f"{place}/test").json()["id"] for _ in range(2))
    tasks.deliver(sent)
    panel = PanelClient()
    panel.force_login(UserFactory(administrator=True, is_staff=True))
    page = reverse("admin:webhooks_delivery_changelist")
    chosen = {"action": "replay", "_selected_action": [sent, waiting]}

    asked = panel.post(page, chosen)
    answer = panel.post(page, {**chosen, "reason": "the receiver was down"}, follow=True)

    assert "deliveries are sent again" in asked.text
    assert "1 deliveries are on their way" in answer.text
    assert "the delivery is waiting" in answer.text
    entry = AuditEntry.objects.get(action="webhooks.delivery.replayed")
    assert (entry.subject, entry.reason) == (f"delivery:{sent}", "the receiver was down")


def test_pages_of_deliveries_lead_on(api: APIClient, receiver: Receiver) -> None:
    place = post(api, {"url": receiver.url, "kinds": ["*"]})["Location"]
    ids = [api.post(f"{place}/test").json()["id"] for _ in range(3)]

    first = api.get("/api/v1/webhooks/deliveries", {"limit": 2}).json()
    second = api.get("/api/v1/webhooks/deliveries", {"limit": 2, "cursor": first["next"]}).json()

    assert [row["id"] for row in first["results"] + second["results"]] == ids[::-1]
    assert second["next"] is None


def test_a_removed_webhook_keeps_no_secret(api: APIClient, receiver: Receiver) -> None:
    place = post(api, {"url": receiver.url, "kinds": ["*"]})["Location"]

    gone = api.delete(place)

    assert gone.status_code == 204
    assert api.get(place).status_code == 404
    assert Endpoint.objects.get().secret is None
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "webhooks.endpoint.added",
        "webhooks.endpoint.removed",
    ]


def test_the_log_is_in_the_admin(receiver: Receiver, db: None) -> None:
    person = UserFactory(superuser=True, role="administrator")
    api = client_of(principal_of(person))
    place = post(api, {"url": receiver.url, "kinds": ["*"]})["Location"]
    sent = api.post(f"{place}/test").json()
    tasks.deliver(sent["id"])
    browser = PanelClient()
    browser.force_login(person)

    listing = browser.get("/admin/webhooks/delivery/")
    detail = browser.get(f"/admin/webhooks/delivery/{sent['id']}/change/")
    endpoint = browser.get(f"/admin/webhooks/endpoint/{place.rsplit('/', 1)[1]}/change/")

    assert (listing.status_code, detail.status_code, endpoint.status_code) == (200, 200, 200)
    assert "webhooks.test" in listing.content.decode()
    assert "127.0.0.1" in detail.content.decode()
    assert "whsec_" not in endpoint.content.decode()
