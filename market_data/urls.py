"""URLs of the market data API, below /api/v1/."""

from django.urls import path

from market_data.views import CandleListView, InstrumentListView, InstrumentView, QuoteListView, SubscriptionListView

urlpatterns = [
    path("instruments", InstrumentListView.as_view(), name="instruments"),
    path("instruments/<str:key>", InstrumentView.as_view(), name="instrument"),
    path("subscriptions", SubscriptionListView.as_view(), name="subscriptions"),
    path("quotes", QuoteListView.as_view(), name="quotes"),
    path("candles", CandleListView.as_view(), name="candles"),
]
