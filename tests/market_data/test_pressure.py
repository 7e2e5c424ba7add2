"""Back-pressure: judged by measurements, answered by conflation, never at the cost of what moves the desk."""

import struct

import numpy as np
import pytest
from django.test import Client

from market_data.ingest import Flushed, Ingest
from market_data.pressure import PRESSURE, Gauge, Level, hub_level, level_of, protected
from tests.market_data.live import Publisher, WebProcess, api_key
from tests.market_data.live import client as program
from tests.market_data.test_feed import Floor, RunningFeed, feed, floor, wanted
from tests.sandbox_server import wait_for

__all__ = ["feed", "floor", "wanted"]

INDEX, SHARE, CALL, FAR_CALL = 256265, 408065, 0x1102, 0x1202


def frame(*packets: tuple[int, int]) -> bytes:
    return struct.pack(">H", len(packets)) + b"".join(struct.pack(">HII", 8, *packet) for packet in packets)


def flushed(ingest: Ingest, *packets: tuple[int, int], only: tuple[int, ...] | None = None) -> Flushed:
    if packets:
        ingest.receive(source="a", frame=frame(*packets), received_at=1.0)
    found = ingest.flush(published_at=2.0, only=None if only is None else np.array(only, np.uint32))
    assert found is not None
    return found


def prices(found: Flushed) -> dict[int, float]:
    rows = found.batch.rows
    return dict(zip(rows["instrument_token"].tolist(), rows["last_price"].tolist(), strict=True))


@pytest.fixture
def ingest() -> Ingest:
    return Ingest(shard=0, epoch=1)


@pytest.mark.parametrize(
    ("share", "milliseconds", "pending", "level"),
    [
        (1.0, 1.0, 0, Level.HEALTHY),
        (0.95, 10.0, 100, Level.HEALTHY),
        (0.94, 1.0, 0, Level.WARNING),
        (1.0, 10.1, 0, Level.WARNING),
        (1.0, 1.0, 101, Level.WARNING),
        (0.79, 1.0, 0, Level.CRITICAL),
        (1.0, 51.0, 0, Level.CRITICAL),
        (1.0, 1.0, 501, Level.CRITICAL),
        (0.49, 1.0, 0, Level.OVERLOAD),
        (1.0, 201.0, 0, Level.OVERLOAD),
        (1.0, 1.0, 2001, Level.OVERLOAD),
    ],
)
def test_the_worst_of_three_measurements_is_the_level(
    share: float, milliseconds: float, pending: int, level: Level
) -> None:
    assert level_of(share=share, milliseconds=milliseconds, pending=pending) is level


@pytest.mark.parametrize(
    ("sent", "skipped", "level"),
    [
        (0, 0, Level.HEALTHY),
        (80, 20, Level.HEALTHY),
        (79, 21, Level.WARNING),
        (49, 51, Level.CRITICAL),
        (1, 9, Level.OVERLOAD),
    ],
)
def test_a_hub_is_judged_by_what_its_clients_could_not_take(sent: int, skipped: int, level: Level) -> None:
    assert hub_level(sent=sent, skipped=skipped) is level


def test_a_gauge_reads_rates_of_the_last_minute_alone() -> None:
    gauge = Gauge()
    gauge.note(at=0.0, received=10_000, published=0, seconds=1.0)
    for second in range(100, 110):
        gauge.note(at=float(second), received=500, published=500, seconds=0.004)

    reading = gauge.read(pending=3, now=110.0)

    assert (reading.level, reading.received, reading.share, reading.pending) == (Level.HEALTHY, 500.0, 1.0, 3)
    assert reading.publish_ms == pytest.approx(4.0)


@pytest.mark.parametrize("level", list(Level))
def test_under_pressure_whole_flushes_are_rarer_but_never_end(level: Level) -> None:
    gauge = Gauge()
    pending = {Level.HEALTHY: 0, Level.WARNING: 200, Level.CRITICAL: 1000, Level.OVERLOAD: 5000}[level]
    assert gauge.read(pending=pending, now=1.0).level is level

    whole = [gauge.is_whole() for _ in range(40)]

    assert sum(whole) == 40 // PRESSURE.whole_every[level]


def test_indices_and_strikes_at_the_money_are_protected() -> None:
    tokens = np.array([INDEX, SHARE, CALL, FAR_CALL], np.uint32)
    options = {CALL: (INDEX, 25_000.0), FAR_CALL: (INDEX, 25_600.0)}

    found = protected(tokens=tokens, options=options, spots={INDEX: 25_100.0})

    assert found.tolist() == sorted([INDEX, CALL])


def test_without_a_spot_no_strike_is_at_the_money() -> None:
    found = protected(tokens=np.array([CALL], np.uint32), options={CALL: (INDEX, 25_000.0)}, spots={})

    assert found.tolist() == []


def test_what_is_not_protected_waits_and_then_comes_with_its_newest_value(ingest: Ingest) -> None:
    first = flushed(ingest, (INDEX, 100), (SHARE, 100), only=(INDEX,))
    second = flushed(ingest, (INDEX, 200), (SHARE, 200), only=(INDEX,))

    whole = flushed(ingest, (INDEX, 300))

    assert (prices(first), prices(second)) == ({INDEX: 1.0}, {INDEX: 2.0})
    assert prices(whole) == {INDEX: 3.0, SHARE: 2.0}
    assert (ingest.counts["withheld"], ingest.counts["conflated"]) == (2, 1)


def test_the_recorder_gets_every_packet_all_the_same(ingest: Ingest) -> None:
    held_back = flushed(ingest, (INDEX, 100), (SHARE, 100), only=(INDEX,))

    assert held_back.raw.rows["instrument_token"].tolist() == [INDEX, SHARE]


def test_a_stream_that_falls_silent_owes_nobody_a_value(ingest: Ingest) -> None:
    flushed(ingest, (SHARE, 100), only=(INDEX,))

    whole = flushed(ingest)

    assert prices(whole) == {SHARE: 1.0}
    assert (whole.batch.from_sequence, whole.batch.to_sequence) == (1, 2)
    assert ingest.flush(published_at=3.0) is None


@pytest.mark.django_db(transaction=True)
def test_a_feed_reports_what_it_measured(floor: Floor, feed: RunningFeed, client: Client) -> None:
    wait_for(lambda: floor.feed()["pressure"]["received"] > 0)
    key = api_key()

    body = client.get("/api/v1/backpressure", headers={"Authorization": f"Bearer {key}"}).json()

    (shard,) = body["feeds"]
    assert shard["level"] in {"healthy", "warning", "critical", "overload"}
    assert shard["share"] == 1.0
    assert 0 < shard["publish_ms"] < 2000
    assert shard["lost_batches_total"] == 0


@pytest.mark.django_db(transaction=True)
def test_a_hub_reports_its_clients_and_the_worst_level_is_the_answers(
    web: WebProcess, publisher: Publisher, client: Client
) -> None:
    with program(web, api_key()) as socket:
        socket.expect("hb")
        answer = wait_for(
            lambda: (
                (found := client.get("/api/v1/backpressure", headers={"Authorization": f"Bearer {api_key()}"}).json())[
                    "hubs"
                ]
                and found["hubs"][0]["clients"] == 1
                and found
            )
        )

    assert (answer["level"], answer["feeds"]) == ("healthy", [])
    assert answer["hubs"][0]["skipped"] == 0
