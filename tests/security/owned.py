"""One of each thing that belongs to an account, to see who may reach it by its id."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from accounts.models import BrokerAccount, TradingHalt
from orders.parents import OrderGroup, Trigger
from portfolio.models import Instruction
from tests.factories import UserFactory
from tests.orders.factories import OrderFactory
from webhooks.models import Delivery, Endpoint, Message

# The routes below these words take the id of the thing beside them.
IDS = ("order_id", "group_id", "trigger_id", "instruction_id", "halt_id", "endpoint_id", "delivery_id")


def everything_of(account: BrokerAccount) -> dict[str, str]:
    """Make one of each on the account, and return the ids by the names of the routes' arguments."""
    now = datetime.now(UTC)
    said = {"account": account, "client": "user:0", "idempotency_key": str(uuid4()), "created_at": now}
    group = OrderGroup.objects.create(
        **said, kind="basket", fingerprint="f", plan=[], deadline_at=now + timedelta(minutes=5)
    )
    trigger = Trigger.objects.create(
        account=account,
        origin="external",
        broker_trigger_id=1,
        type="single",
        exchange="NSE",
        tradingsymbol="INFY",
        trigger_values=[1],
        last_price=Decimal(1),
        legs=[],
        status="active",
        created_at=now,
    )
    instruction = Instruction.objects.create(**said, kind="sip", body={})
    halt = TradingHalt.objects.create(
        scope="account", target=account.label, level="halted", reason="x", engaged_by="x", engaged_at=now
    )
    endpoint = Endpoint(owner=UserFactory(), url="https://93.184.215.14/", kinds=["*"], created_at=now)
    endpoint.secret = "whsec_AAAA"
    endpoint.save()
    endpoint.accounts.add(account)
    message = Message.objects.create(account=account, kind="orders.order.open", body="{}", created_at=now)
    delivery = Delivery.objects.create(endpoint=endpoint, message=message, created_at=now)
    return {
        "order_id": str(OrderFactory(account=account).pk),
        "group_id": str(group.pk),
        "trigger_id": str(trigger.pk),
        "instruction_id": str(instruction.pk),
        "halt_id": str(halt.pk),
        "endpoint_id": str(endpoint.pk),
        "delivery_id": str(delivery.pk),
    }
