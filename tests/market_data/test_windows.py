"""Chain windows follow their underlying."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from kite.types import Mode
from market_data import windows
from market_data.errors import IndexUnknown
from market_data.models import ChainWindow, Instrument, Subscription
from market_data.queries import desired_modes
from tests.market_data.factories import NOW, InstrumentFactory
from tests.market_data.live import api_key, store_prices

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "market")]

NIFTY, BANK = 256_265, 260_105
WEEK, MONTH = date(2026, 8, 25), date(2026, 9, 29)


def options(name: str, expiry: date, strikes: range, exchange: str = "NFO") -> None:
    for strike in strikes:
        for kind in ("CE", "PE"):
            InstrumentFactory(
                exchange=exchange,
                tradingsymbol=f"{name}{expiry:%d%b}{strike}{kind}".upper(),
                name=name,
                instrument_type=kind,
                expiry=expiry,
                strike=strike,
            )


@pytest.fixture
def market() -> None:
    """Two indices; NIFTY has a near expiry in fifties and a far one in hundreds, BANKNIFTY one in hundreds."""
    InstrumentFactory(tradingsymbol="NIFTY 50", instrument_token=NIFTY, segment="INDICES")
    InstrumentFactory(tradingsymbol="NIFTY BANK", instrument_token=BANK, segment="INDICES")
    options("NIFTY", WEEK, range(24_800, 25_201, 50))
    options("NIFTY", MONTH, range(24_800, 25_201, 100))
    options("BANKNIFTY", WEEK, range(55_000, 55_601, 100))


def save(underlying: str = "NIFTY", **terms: object) -> ChainWindow:
    return windows.save(underlying=underlying, wanted_by="desk", terms={"strikes": 1, **terms}, now=NOW)


def wanted(name: str, expiry: date) -> list[int]:
    rows = Subscription.objects.filter(
        instrument__name=name, instrument__expiry=expiry, instrument__instrument_type="CE"
    )
    return sorted(int(strike) for strike in rows.values_list("instrument__strike", flat=True))


def test_a_window_wants_the_strikes_around_the_price_and_the_index() -> None:
    store_prices({NIFTY: 25_010.0})

    save()

    assert wanted("NIFTY", WEEK) == [24_950, 25_000, 25_050]
    assert wanted("NIFTY", MONTH) == []
    assert desired_modes(now=NOW)[NIFTY] is Mode.FULL
    assert Subscription.objects.filter(instrument__instrument_type="PE").count() == 3


def test_a_window_before_the_first_price_wants_the_index_alone() -> None:
    window = save()
    assert list(desired_modes(now=NOW)) == [NIFTY]

    store_prices({NIFTY: 25_010.0})
    assert windows.adjust_all(now=NOW) == 1

    window.refresh_from_db()
    assert (window.center, window.moved_at) == (25_000, NOW)
    assert wanted("NIFTY", WEEK) == [24_950, 25_000, 25_050]


def test_a_window_follows_the_price_and_lets_go_of_what_it_leaves() -> None:
    store_prices({NIFTY: 25_010.0})
    save()

    store_prices({NIFTY: 25_095.0})
    windows.adjust_all(now=NOW)

    assert wanted("NIFTY", WEEK) == [25_050, 25_100, 25_150]


def test_a_small_swing_across_the_middle_does_not_move_a_window() -> None:
    store_prices({NIFTY: 25_010.0})
    save()

    store_prices({NIFTY: 25_030.0})

    assert windows.adjust_all(now=NOW) == 0
    assert wanted("NIFTY", WEEK) == [24_950, 25_000, 25_050]


def test_underlyings_have_their_own_prices_and_expiries_their_own_steps() -> None:
    store_prices({NIFTY: 25_010.0, BANK: 55_290.0})

    save(expiries=2)
    save("BANKNIFTY")

    assert wanted("NIFTY", WEEK) == [24_950, 25_000, 25_050]
    assert wanted("NIFTY", MONTH) == [24_900, 25_000, 25_100]
    assert wanted("BANKNIFTY", WEEK) == [55_200, 55_300, 55_400]


def test_saving_again_changes_the_terms_and_nothing_else() -> None:
    store_prices({NIFTY: 25_010.0})
    first = save()
    rows = set(Subscription.objects.values_list("pk", flat=True))

    again = save()
    wider = save(strikes=2)

    assert first.pk == again.pk == wider.pk
    assert rows < set(Subscription.objects.values_list("pk", flat=True))
    assert wanted("NIFTY", WEEK) == [24_900, 24_950, 25_000, 25_050, 25_100]


def test_an_expiry_that_is_over_gives_way_to_the_next() -> None:
    store_prices({NIFTY: 25_010.0})
    save()

    windows.adjust_all(now=NOW.replace(day=26))

    assert wanted("NIFTY", WEEK) == []
    assert wanted("NIFTY", MONTH) == [24_900, 25_000, 25_100]


def test_two_wishers_of_one_window_do_not_take_from_each_other() -> None:
    store_prices({NIFTY: 25_010.0})
    save()
    windows.save(underlying="NIFTY", wanted_by="other", terms={"strikes": 2}, now=NOW)

    windows.drop(underlying="NIFTY", wanted_by="other")

    assert wanted("NIFTY", WEEK) == [24_950, 25_000, 25_050]


def test_an_underlying_without_index_or_share_is_refused() -> None:
    with pytest.raises(IndexUnknown):
        save("GOLD")

    assert not ChainWindow.objects.exists()


def test_one_window_that_cannot_move_says_so_and_stops_no_other() -> None:
    store_prices({NIFTY: 25_010.0, BANK: 55_290.0})
    save()
    save("BANKNIFTY")
    Instrument.objects.filter(tradingsymbol="NIFTY 50").update(listed=False)

    store_prices({NIFTY: 25_010.0, BANK: 55_500.0})
    windows.adjust_all(now=NOW)

    assert "no index" in ChainWindow.objects.get(underlying="NIFTY").fault
    assert ChainWindow.objects.get(underlying="BANKNIFTY").center == 55_500


def test_the_api_saves_shows_and_drops_a_window() -> None:
    store_prices({NIFTY: 25_010.0})
    Instrument.objects.filter(expiry=WEEK).update(expiry=datetime.now(UTC).date() + timedelta(days=7))
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {api_key(scopes=('market:read', 'market:write'))}")
    body = {"strikes": 1, "expiries": 1, "mode": "quote", "reason": "gamma book"}

    saved = api.put("/api/v1/windows/NIFTY", body, format="json").json()
    shown = api.get("/api/v1/windows").json()["results"]
    why = api.get("/api/v1/subscriptions", {"instrument": "NIFTY"}).json()["results"]
    dropped = api.delete("/api/v1/windows/NIFTY")
    again = api.delete("/api/v1/windows/NIFTY")

    assert Decimal(saved["center"]) == 25_000
    assert shown == [saved]
    assert [row["reason"] for row in why] == [f"NIFTY ± 1 for {saved['wanted_by']} gamma book"]
    assert (dropped.status_code, again.status_code, again.json()["code"]) == (204, 404, "window_unknown")
    assert not Subscription.objects.exists()


@pytest.mark.parametrize(
    "terms", [{"strikes": 101}, {"expiries": 0}, {"expiries": 13}, {"hysteresis": -1}, {"mode": "x"}]
)
def test_terms_out_of_bounds_are_refused(terms: dict[str, object]) -> None:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {api_key(scopes=('market:write',))}")

    assert api.put("/api/v1/windows/NIFTY", terms, format="json").status_code == 400
