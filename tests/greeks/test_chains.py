"""From ticks on the bus to computed chains on the bus."""

from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from vollib.black_scholes.greeks.analytical import delta

from greeks import kernel, store
from greeks.chains import WISHER, Engine
from greeks.conventions import ForwardSource, PriceSource, Profile
from greeks.errors import NoRate
from greeks.kernel import Flag
from greeks.models import ChainSetting, RateSetting
from greeks.store import Chain, ChainKey
from market_data import sharding
from market_data.bus import SyncBus
from market_data.models import Subscription
from tests.factories import CredentialFactory
from tests.greeks.market import MONTHLY, NOW, RATE, SPOT, WEEKLY, OptionMarket, later, smile


def chain_of(bus: SyncBus, expiry: date = WEEKLY) -> Chain:
    blob = bus.get_blob(ChainKey("NIFTY", expiry).blob)
    assert blob is not None
    return store.unpack(blob)


def row_of(chain: Chain, strike: int, sign: int) -> np.void:
    return chain.rows[(chain.rows["strike"] == strike) & (chain.rows["sign"] == sign)][0]


def test_every_option_gets_the_volatility_it_was_priced_with(
    market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    market.publish(market.rows())

    report = engine.recompute(now=NOW)

    chain = chain_of(bus)
    assert (report.chains, report.published, report.options) == (2, 2, 164)
    assert report.solved == 164
    expected = smile(chain.column("strike"), market.forward(WEEKLY))
    assert np.allclose(chain.column("iv"), expected, atol=1e-4)


def test_the_forward_of_a_weekly_expiry_is_read_from_parity(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())

    engine.recompute(now=NOW)

    weekly, monthly = chain_of(bus), chain_of(bus, MONTHLY)
    assert weekly.forward_source is ForwardSource.PARITY
    assert weekly.value("forward") == pytest.approx(market.forward(WEEKLY), abs=0.01)
    assert weekly.header["parity_strikes"] == 6
    assert monthly.forward_source is ForwardSource.FUTURE
    assert monthly.value("forward") == pytest.approx(market.forward(MONTHLY))


def test_the_sensitivities_stored_are_the_kernels(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    chain = chain_of(bus)

    exact = kernel.greeks(
        chain.value("forward"),
        chain.column("strike"),
        chain.value("years"),
        RATE,
        chain.column("sign"),
        chain.column("iv"),
    )

    for name in kernel.SENSITIVITIES:
        assert np.allclose(chain.column(name), getattr(exact, name), rtol=1e-4, atol=1e-7), name


def test_the_header_says_what_the_values_were_made_with(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows(now=NOW - timedelta(seconds=3)))

    engine.recompute(now=NOW)

    chain = chain_of(bus)
    assert chain.profile is Profile.FWD_CAL
    assert chain.as_of == NOW
    assert chain.value("rate") == RATE
    assert chain.value("spot") == SPOT
    assert chain.value("spot_at") == pytest.approx(NOW.timestamp() - 3.0)
    assert chain.header["lot_size"] == 75
    assert chain.expires_at.isoformat() == "2037-11-26T10:00:00+00:00"


def test_an_option_without_a_tick_has_no_value_and_says_why(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    rows = market.rows()
    market.publish(rows[rows["instrument_token"] != market.token(24_100, "CE")])

    engine.recompute(now=NOW)

    row = row_of(chain_of(bus), 24_100, 1)
    assert np.isnan(row["iv"])
    assert row["flags"] == Flag.NO_PRICE
    assert row["price_source"] == PriceSource.NONE


def test_silence_turns_prices_stale_without_losing_them(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)

    engine.recompute(now=later(120))

    row = row_of(chain_of(bus), 24_000, 1)
    assert row["flags"] & Flag.STALE_PRICE
    assert row["price_source"] == PriceSource.STALE
    assert np.isfinite(row["iv"])
    assert later(120).timestamp() - row["price_at"] == pytest.approx(122.0, abs=1.0)


def test_the_last_good_parity_forward_moves_on_with_the_spot(
    market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    torn = market.rows(now=later(1), spot=SPOT + 100.0)
    torn["bid_price"][2:, 0] -= 500.0
    market.publish(torn)

    engine.recompute(now=later(1))

    chain = chain_of(bus)
    assert chain.forward_source is ForwardSource.KEPT_PARITY
    assert chain.value("forward") == pytest.approx(market.forward(WEEKLY) * (SPOT + 100.0) / SPOT, rel=1e-6)
    assert chain.header["forward_flags"] & Flag.STALE_FORWARD


def test_a_deep_leg_without_time_value_takes_the_other_sides_volatility(
    market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    rows = market.rows()
    deep = rows["instrument_token"] == market.token(23_000, "CE")
    for name in ("bid_price", "ask_price"):
        rows[name][deep, 0] -= 5.0
    market.publish(rows)

    engine.recompute(now=NOW)

    chain = chain_of(bus)
    call, put = row_of(chain, 23_000, 1), row_of(chain, 23_000, -1)
    assert call["flags"] & Flag.FROM_PARITY
    assert call["iv"] == put["iv"]
    assert call["delta"] - put["delta"] == pytest.approx(np.exp(-RATE * chain.value("years")), abs=1e-5)


def test_a_chain_that_did_not_tick_is_not_published_again(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    before = chain_of(bus).sequence

    report = engine.recompute(now=later(1))

    assert report.published == 0
    assert chain_of(bus).sequence == before


def test_a_silent_chain_is_published_every_few_seconds_so_that_its_flags_age(
    market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)

    assert engine.recompute(now=later(6)).published == 2


def test_sequences_rise_even_for_a_new_worker(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    before = chain_of(bus).sequence
    market.publish(market.rows(now=later(1)))

    Engine(bus=bus).recompute(now=later(1))

    assert chain_of(bus).sequence > before


def test_two_states_of_one_moment_have_two_sequences(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    before = chain_of(bus).sequence
    market.publish(market.rows(now=later(1)))

    engine.recompute(now=NOW)

    assert (before, chain_of(bus).sequence) == (int(NOW.timestamp() * 1000), before + 1)


def test_the_index_of_chains_has_every_header(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())

    engine.recompute(now=NOW)

    index = bus.get_blob(store.INDEX)
    assert index is not None
    assert [head.header for head in store.unpack_index(index)] == [
        chain_of(bus, day).header for day in (WEEKLY, MONTHLY)
    ]


def test_a_beat_asks_the_database_nothing_until_it_looks_again(
    market: OptionMarket, engine: Engine, django_assert_num_queries: Any
) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)

    with django_assert_num_queries(0):
        engine.recompute(now=later(9))
    # Whether settings and instruments changed, and nothing more.
    with django_assert_num_queries(4):
        engine.recompute(now=later(11))


def test_the_last_good_parity_outlives_a_changed_setting(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    ChainSetting.objects.get(underlying="NIFTY").save()
    torn = market.rows(now=later(11))
    torn["bid_price"][2:, 0] -= 500.0
    market.publish(torn)

    engine.recompute(now=later(11))

    assert chain_of(bus).forward_source is ForwardSource.KEPT_PARITY


def test_the_day_of_a_rate_is_the_day_in_india(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    RateSetting.objects.create(effective_date=NOW.date() + timedelta(days=1), rate=Decimal("0.055"), source="a test")
    market.publish(market.rows())

    engine.recompute(now=NOW.astimezone(UTC).replace(hour=20))

    assert chain_of(bus).value("rate") == 0.055


def test_values_move_with_the_ticks(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    before = row_of(chain_of(bus), 24_000, 1)["delta"]
    market.publish(market.rows(now=later(1), spot=SPOT + 200.0))

    engine.recompute(now=later(1))

    assert row_of(chain_of(bus), 24_000, 1)["delta"] > before + 0.1


def test_strikes_far_from_the_spot_are_left_out(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    ChainSetting.objects.filter(underlying="NIFTY").update(strikes_each_side=3)
    market.publish(market.rows())

    engine.recompute(now=NOW)

    assert np.unique(chain_of(bus).rows["strike"]).tolist() == [23_850, 23_900, 23_950, 24_000, 24_050, 24_100, 24_150]


def test_the_strikes_follow_a_spot_that_runs_away(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    ChainSetting.objects.filter(underlying="NIFTY").update(strikes_each_side=3)
    market.publish(market.rows())
    engine.recompute(now=NOW)
    market.publish(market.rows(now=later(11), spot=24_400.0))

    engine.recompute(now=later(11))

    assert chain_of(bus).rows["strike"].min() == 24_250


def test_a_changed_setting_takes_effect_without_a_restart(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    setting = ChainSetting.objects.get(underlying="NIFTY")
    setting.profile = Profile.NSE_COMPAT
    setting.save()

    engine.recompute(now=later(11))

    chain = chain_of(bus)
    assert chain.profile is Profile.NSE_COMPAT
    assert chain.value("rate") == 0.10
    assert chain.value("years") == 7 / 365
    assert chain.value("forward") == pytest.approx(SPOT * np.exp(0.10 * 7 / 365))


def test_the_trading_time_profile_counts_open_days(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    ChainSetting.objects.filter(underlying="NIFTY").update(profile=Profile.FWD_TRD)
    market.publish(market.rows())

    engine.recompute(now=NOW)

    assert chain_of(bus).value("years") == pytest.approx((5 * 22_500 + 4.5 * 3_600) / (252 * 22_500))


def test_spot_profiles_give_spot_deltas(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    ChainSetting.objects.filter(underlying="NIFTY").update(profile=Profile.SPOT_BSM)
    market.publish(market.rows())

    engine.recompute(now=NOW)

    chain = chain_of(bus)
    call = row_of(chain, 24_000, 1)
    assert chain.forward_source is ForwardSource.SPOT
    expected = delta("c", SPOT, 24_000.0, chain.value("years"), RATE, float(call["iv"]))
    assert call["delta"] == pytest.approx(expected, abs=1e-6)


def test_a_dated_rate_is_used_from_its_day_on(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    RateSetting.objects.create(effective_date=NOW.date(), rate=Decimal("0.055"), source="a test")
    RateSetting.objects.create(effective_date=NOW.date() + timedelta(days=1), rate=Decimal("0.01"), source="a test")
    market.publish(market.rows())

    engine.recompute(now=NOW)

    assert chain_of(bus).value("rate") == 0.055


def test_without_a_rate_nothing_is_guessed(market: OptionMarket, engine: Engine) -> None:
    RateSetting.objects.all().delete()

    with pytest.raises(NoRate, match="2037-11-19"):
        engine.recompute(now=NOW)


def test_an_expired_chain_leaves_at_midnight_and_says_expired_until_then(
    market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    evening = NOW.replace(day=26, hour=16)
    market.publish(market.rows(now=NOW))

    engine.recompute(now=evening)

    row = row_of(chain_of(bus), 23_900, 1)
    assert row["flags"] & Flag.EXPIRED
    assert np.isnan(row["iv"])


def test_what_the_chains_need_is_asked_of_the_feed(market: OptionMarket, engine: Engine) -> None:
    market.publish(market.rows())

    engine.recompute(now=NOW)

    wanted = Subscription.objects.filter(wanted_by=WISHER)
    assert wanted.count() == 166
    assert set(wanted.values_list("mode", "reason")) == {("full", "live chains")}


def test_without_room_for_their_wishes_the_chains_live_on_what_is_streamed(
    market: OptionMarket, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "PER_ACCOUNT", 100)
    CredentialFactory(live=True, token_expires_at=NOW + timedelta(hours=1))
    market.publish(market.rows())

    with capture_logs() as said:
        report = engine.recompute(now=NOW)

    assert report.solved == 164
    assert not Subscription.objects.filter(wanted_by=WISHER).exists()
    (told,) = [line for line in said if line["event"] == "greeks.chains.no_room"]
    assert (told["log_level"], told["wanted"]) == ("warning", 166)
    assert "instruments wanted" in told["reason"]


def test_what_the_chains_need_no_more_is_given_back(market: OptionMarket, engine: Engine) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    setting = ChainSetting.objects.get(underlying="NIFTY")
    setting.expiries = 1
    setting.save()

    engine.recompute(now=later(11))

    assert Subscription.objects.filter(wanted_by=WISHER).count() == 84


def test_without_ticks_every_chain_is_there_and_empty_of_values(
    market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    report = engine.recompute(now=NOW)

    assert (report.chains, report.solved) == (2, 0)
    assert chain_of(bus).forward_source is ForwardSource.NONE
    assert chain_of(bus).rows["flags"][0] == Flag.NO_PRICE | Flag.NO_FORWARD


def test_no_live_chain_is_no_fault(market: OptionMarket, engine: Engine) -> None:
    ChainSetting.objects.update(enabled=False)

    assert engine.recompute(now=NOW).chains == 0


def test_the_beat_reports_its_health(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())

    engine.recompute(now=NOW)

    health = bus.read_health()["greeks"]
    assert (health["solved"], health["as_of"]) == (164, NOW.isoformat())
    assert isinstance(health["seconds"], float)
    assert 0.0 < health["seconds"] < 60.0
    assert health["p99_seconds"] == health["seconds"]
