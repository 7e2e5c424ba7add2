"""URLs of the orders API, below /api/v1/."""

from django.urls import path

from orders.postback import PostbackView
from orders.views import OrderEventListView, OrderListView, OrderView, TradeListView

urlpatterns = [
    path("orders", OrderListView.as_view(), name="orders"),
    path("orders/<uuid:order_id>", OrderView.as_view(), name="order"),
    path("orders/<uuid:order_id>/events", OrderEventListView.as_view(), name="order-events"),
    path("trades", TradeListView.as_view(), name="trades"),
    path("postbacks/kite/<slug:label>", PostbackView.as_view(), name="kite-postback"),
]
