"""API6: what is worth money is done once, however often it is asked for, and not without end."""

from tests.conformance import schema
from tests.security.routes import Deed, deeds

# They calculate or name, and change nothing; a ticket is new each time because it serves once; a token ends once.
NO_WRITES = {
    "POST /api/v1/baskets/margins",
    "POST /api/v1/greeks/book",
    "POST /api/v1/greeks/whatif",
    "POST /api/v1/orders/charges",
    "POST /api/v1/orders/margins",
    "POST /api/v1/postbacks/kite/{label}",
    "POST /api/v1/socket-tickets",
    "DELETE /api/v1/me/token",
}
WRITES = [deed for deed in deeds() if deed.method != "GET" and str(deed) not in NO_WRITES]


def _names_a_key(deed: Deed) -> bool:
    operation = schema()["paths"][deed.route][deed.method.lower()]
    return any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))


def test_every_write_takes_an_idempotency_key() -> None:
    assert WRITES
    assert [str(deed) for deed in WRITES if not _names_a_key(deed)] == []
