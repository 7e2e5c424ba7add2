"""The tick socket, over the wire of a real server."""

import json
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from accounts.models import ApiKey
from market_data.commands import Limits
from market_data.frames import FIELDS, FULL, HEADER, LTP, QUOTE
from market_data.models import Instrument, Subscription
from tests.market_data.factories import InstrumentFactory, ticks
from tests.market_data.live import Publisher, TickClient, WebProcess, api_key, client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def infy(web: WebProcess) -> Instrument:
    return InstrumentFactory(tradingsymbol="INFY", instrument_token=408065)


def test_a_program_is_welcomed_with_its_limits_and_field_names(tick_client: TickClient) -> None:
    welcome = tick_client.welcome

    assert (welcome["t"], welcome["v"]) == ("welcome", 1)
    assert welcome["limits"]["instruments"] == 500
    assert welcome["f"]["ltp"] == list(FIELDS["ltp"])


def test_nobody_is_refused_before_the_handshake(web: WebProcess) -> None:
    with pytest.raises(InvalidStatus) as refused:
        TickClient(web.url, "")

    assert refused.value.response.status_code in {401, 403}


def test_an_unknown_key_gets_a_problem_document(web: WebProcess) -> None:
    with pytest.raises(InvalidStatus) as refused:
        TickClient(web.url, "tkr_live_AAAAAAAA_" + "x" * 43)

    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body or b"")["code"] == "not_authenticated"


def test_a_key_without_the_scope_is_refused(web: WebProcess) -> None:
    with pytest.raises(InvalidStatus) as refused:
        TickClient(web.url, api_key(scopes=("orders:read",)))

    assert refused.value.response.status_code == 403


def test_an_unknown_subprotocol_is_refused(web: WebProcess) -> None:
    with pytest.raises(InvalidStatus) as refused:
        TickClient(web.url, api_key(), subprotocol="ticker.v9.xml")

    assert json.loads(refused.value.response.body or b"")["code"] == "subprotocol_unknown"


def test_a_client_without_subprotocol_gets_json(web: WebProcess, infy: Instrument) -> None:
    with client(web, api_key(), subprotocol=None) as program:
        assert program.subscribe(symbols=["NSE:INFY"])["t"] == "ok"


def test_a_subscriber_by_symbol_gets_ticks(tick_client: TickClient, infy: Instrument, publisher: Publisher) -> None:
    answer = tick_client.subscribe(symbols=["NSE:INFY"], mode="ltp")
    publisher.publish(ticks({408065: 1500.5, 999: 1.0}))

    delta = tick_client.expect("d")

    assert answer["accepted"] == [[408065, "NSE:INFY"]]
    assert tick_client.prices == {408065: 1500.5}
    assert delta["s"] == [0, 1, 0, 1]


def test_a_subscriber_by_token_first_gets_the_last_value(
    tick_client: TickClient, infy: Instrument, publisher: Publisher
) -> None:
    publisher.publish(ticks({408065: 1490.0}))
    tick_client.until(lambda message: message["t"] == "hb" and message["s"][0][2] == 1)

    tick_client.subscribe(tokens=[408065])
    snapshot = tick_client.expect("snap")

    assert snapshot["d"][0][:2] == [408065, 1490.0]


def test_the_first_client_of_a_process_gets_values_stored_before_it_came(
    web: WebProcess, infy: Instrument, publisher: Publisher
) -> None:
    publisher.publish(ticks({408065: 1490.0}))
    publisher.snapshot(ticks({408065: 1490.0}))

    with client(web, api_key()) as program:
        program.subscribe(tokens=[408065])

        assert program.expect("snap")["s"][3] == 1


def test_a_subscription_makes_the_feed_want_the_instrument(tick_client: TickClient, infy: Instrument) -> None:
    tick_client.subscribe(tokens=[408065], mode="full")

    wish = Subscription.objects.get()
    assert (wish.instrument, wish.mode) == (infy, "full")
    assert wish.expires_at is not None
    assert wish.expires_at > datetime.now(UTC)


def test_unknown_instruments_are_named_beside_the_known(tick_client: TickClient, infy: Instrument) -> None:
    answer = tick_client.subscribe(symbols=["NSE:INFY", "NSE:NOPE"], tokens=[77])

    assert answer["rejected"] == [
        {"instrument": 77, "code": "instrument_unknown"},
        {"instrument": "NSE:NOPE", "code": "instrument_unknown"},
    ]


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("{", "bad_json", None),
        ("[1]", "bad_json", None),
        ('{"op":"dance","id":3}', "unknown_op", "op"),
        ('{"op":"sub"}', "bad_field", "tokens"),
        ('{"op":"sub","tokens":5}', "bad_field", "tokens"),
        ('{"op":"sub","tokens":[1,"x"]}', "bad_field", "tokens[1]"),
        ('{"op":"sub","tokens":[true]}', "bad_field", "tokens[0]"),
        ('{"op":"sub","symbols":[5]}', "bad_field", "symbols[0]"),
        ('{"op":"sub","symbols":["NSE:NOPE"]}', "instrument_unknown", "symbols"),
        ('{"op":"sub","tokens":[1],"mode":"wide"}', "bad_field", "mode"),
        ('{"op":"sub","tokens":[1],"since":[[0,1]]}', "bad_field", "since"),
        ('{"op":"sub","tokens":[1],"max_hz":0}', "bad_field", "max_hz"),
        (json.dumps({"op": "sub", "tokens": list(range(1, 502))}), "too_many_instruments", "tokens"),
        ('{"op":"ping","pad":"' + "x" * 65536 + '"}', "message_too_large", None),
    ],
)
def test_a_faulty_command_is_answered_with_its_fault_and_the_socket_lives(
    tick_client: TickClient, text: str, code: str, field: str | None
) -> None:
    tick_client.socket.send(text)

    error = tick_client.expect("err")

    assert (error["code"], error["field"]) == (code, field)
    tick_client.send(op="ping", id=9)
    assert tick_client.expect("pong")["id"] == 9


def test_a_binary_command_is_refused(tick_client: TickClient) -> None:
    tick_client.socket.send(b"\x00")

    assert tick_client.expect("err")["code"] == "bad_message"


def test_a_fault_carries_the_id_of_its_command(tick_client: TickClient) -> None:
    tick_client.send(op="dance", id="a7")

    assert tick_client.expect("err")["id"] == "a7"


def test_more_commands_than_allowed_are_refused_until_the_client_slows_down(tick_client: TickClient) -> None:
    for _ in range(60):
        tick_client.send(op="ping")

    assert tick_client.expect("err")["code"] == "rate_limited"


def ping_for_ever(program: TickClient) -> None:
    while True:
        program.send(op="ping")
        program.receive()


def test_a_client_that_will_not_slow_down_is_closed_for_good(tick_client: TickClient) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        ping_for_ever(tick_client)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 3504


def test_resubscribing_everything_a_client_has_is_no_more_than_it_has(web: WebProcess, infy: Instrument) -> None:
    with WebProcess(limits=Limits(instruments=1)) as small, client(small, api_key()) as program:
        program.subscribe(symbols=["NSE:INFY"])

        assert program.subscribe(symbols=["NSE:INFY"])["t"] == "ok"


def test_an_unsubscribed_instrument_is_silent(tick_client: TickClient, infy: Instrument, publisher: Publisher) -> None:
    other = InstrumentFactory(tradingsymbol="TCS")
    tick_client.subscribe(symbols=["NSE:INFY", "NSE:TCS"], mode="ltp")

    tick_client.send(op="unsub", id="u", symbols=["NSE:INFY"])
    answer = tick_client.until(lambda message: message.get("id") == "u")
    publisher.publish(ticks({408065: 1.0, other.instrument_token: 2.0}))
    tick_client.expect("d")

    assert answer["removed"] == [408065]
    assert tick_client.prices == {other.instrument_token: 2.0}


def test_a_new_mode_replaces_the_old_one(tick_client: TickClient, infy: Instrument, publisher: Publisher) -> None:
    tick_client.subscribe(tokens=[408065], mode="full")
    tick_client.subscribe(tokens=[408065], mode="ltp")

    publisher.publish(ticks({408065: 5.0}))

    assert tick_client.expect("d")["m"] == "ltp"


@pytest.mark.parametrize(("mode", "record"), [("ltp", LTP), ("quote", QUOTE), ("full", FULL)])
def test_binary_frames_carry_the_same_values(
    web: WebProcess, infy: Instrument, publisher: Publisher, mode: str, record: "np.dtype[np.void]"
) -> None:
    rows = ticks({408065: 1500.55}, received_at=1_790_000_000.25)
    rows["bid_price"][0] = [1500.5, 1500.45, 1500.4, 1500.35, 1500.3]
    rows["volume"] = 12345
    with client(web, api_key(), subprotocol="ticker.v1.bin") as program:
        program.subscribe(tokens=[408065], mode=mode)
        publisher.publish(rows)
        message = program.receive()

    header = np.frombuffer(message, HEADER, 1)[0]
    values = np.frombuffer(message, record, int(header["count"]), HEADER.itemsize)[0]
    assert (header["magic"], header["version"], header["to_sequence"]) == (0x54, 1, 1)
    assert (values["instrument_token"], values["last_price"]) == (408065, 150055)
    assert int(values["received_low"]) | int(values["received_high"]) << 32 == 1_790_000_000_250
    if mode != "ltp":
        assert values["volume"] == 12345
    if mode == "full":
        assert values["bids"]["price"].tolist() == [150050, 150045, 150040, 150035, 150030]


def test_a_revoked_key_ends_its_socket(web: WebProcess) -> None:
    with WebProcess(limits=Limits(check_seconds=0.2)) as watchful, client(watchful, api_key()) as program:
        ApiKey.objects.update(revoked_at=datetime.now(UTC))

        with pytest.raises(ConnectionClosed) as closed:
            program.until(lambda _: False)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 3500


def test_silence_is_told_from_death_by_a_heartbeat_each_second(tick_client: TickClient) -> None:
    tick_client.expect("hb")
    began = time.monotonic()

    tick_client.expect("hb")

    assert 0.5 < time.monotonic() - began < 2.0


def test_five_hundred_instruments_arrive(tick_client: TickClient, publisher: Publisher) -> None:
    instruments = InstrumentFactory.create_batch(500)
    tick_client.subscribe(symbols=[str(row) for row in instruments], mode="quote")

    publisher.publish(ticks({row.instrument_token: float(row.instrument_token) for row in instruments}))
    tick_client.expect("d")

    assert tick_client.prices == {row.instrument_token: float(row.instrument_token) for row in instruments}
