"""URLs of the chains API, below /api/v1/."""

from django.urls import path

from greeks.candle_views import OptionCandleView
from greeks.history_views import OptionHistoryView, UnderlyingHistoryView
from greeks.question_views import GreeksListView, TermStructureView, WhatIfView
from greeks.views import BookView, ChainHistoryView, ChainListView, ChainView, SmileView, StandingView

urlpatterns = [
    path("chains", ChainListView.as_view(), name="chains"),
    path("chains/<str:underlying>/<str:expiry>", ChainView.as_view(), name="chain"),
    path("chains/<str:underlying>/<str:expiry>/smile", SmileView.as_view(), name="chain-smile"),
    path("chains/<str:underlying>/<str:expiry>/history", ChainHistoryView.as_view(), name="chain-history"),
    path("greeks", GreeksListView.as_view(), name="greeks"),
    path("greeks/whatif", WhatIfView.as_view(), name="greeks-whatif"),
    path("greeks/history", OptionHistoryView.as_view(), name="greeks-history"),
    path("greeks/candles", OptionCandleView.as_view(), name="greeks-candles"),
    path("greeks/book", BookView.as_view(), name="greeks-book"),
    path("volatility/<str:underlying>/term", TermStructureView.as_view(), name="volatility-term"),
    path("volatility/<str:underlying>/history", UnderlyingHistoryView.as_view(), name="volatility-history"),
    path("volatility/<str:underlying>", StandingView.as_view(), name="volatility"),
]
