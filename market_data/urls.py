"""URLs of the market data API, below /api/v1/."""

from django.urls import path

from market_data.pressure_views import PressureView
from market_data.subscription_views import ListListView, ListView, SubscriptionListView, WindowListView, WindowView
from market_data.views import (
    CandleListView,
    InstrumentChangeListView,
    InstrumentListView,
    InstrumentView,
    QuoteListView,
)

urlpatterns = [
    path("instruments", InstrumentListView.as_view(), name="instruments"),
    path("instruments/changes", InstrumentChangeListView.as_view(), name="instrument-changes"),
    path("instruments/<str:key>", InstrumentView.as_view(), name="instrument"),
    path("subscriptions", SubscriptionListView.as_view(), name="subscriptions"),
    path("lists", ListListView.as_view(), name="lists"),
    path("lists/<slug:name>", ListView.as_view(), name="list"),
    path("windows", WindowListView.as_view(), name="windows"),
    path("windows/<str:underlying>", WindowView.as_view(), name="window"),
    path("quotes", QuoteListView.as_view(), name="quotes"),
    path("backpressure", PressureView.as_view(), name="backpressure"),
    path("candles", CandleListView.as_view(), name="candles"),
]
