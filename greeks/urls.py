"""URLs of the chains API, below /api/v1/."""

from django.urls import path

from greeks.views import ChainListView, ChainView, SmileView

urlpatterns = [
    path("chains", ChainListView.as_view(), name="chains"),
    path("chains/<str:underlying>/<str:expiry>", ChainView.as_view(), name="chain"),
    path("chains/<str:underlying>/<str:expiry>/smile", SmileView.as_view(), name="chain-smile"),
]
