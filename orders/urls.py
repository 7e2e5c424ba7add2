"""URLs of the orders API, below /api/v1/."""

from django.urls import path

from orders.basket_views import BasketListView, BasketView
from orders.letter_views import AcknowledgementView, ExitView, LetterListView, RequeueView
from orders.margin_views import BasketMarginView, ChargeView, OrderMarginView
from orders.postback import PostbackView
from orders.trigger_views import TriggerListView, TriggerView
from orders.views import OrderEventListView, OrderListView, OrderView, TradeListView

urlpatterns = [
    path("orders", OrderListView.as_view(), name="orders"),
    path("orders/dead-letters", LetterListView.as_view(), name="order-dead-letters"),
    path("orders/margins", OrderMarginView.as_view(), name="order-margins"),
    path("orders/charges", ChargeView.as_view(), name="order-charges"),
    path("orders/<uuid:order_id>/requeue", RequeueView.as_view(), name="order-requeue"),
    path("orders/<uuid:order_id>/exit", ExitView.as_view(), name="order-exit"),
    path("orders/<uuid:order_id>/acknowledge", AcknowledgementView.as_view(), name="order-acknowledge"),
    path("baskets", BasketListView.as_view(), name="baskets"),
    path("baskets/margins", BasketMarginView.as_view(), name="basket-margins"),
    path("baskets/<uuid:group_id>", BasketView.as_view(), name="basket"),
    path("gtts", TriggerListView.as_view(), name="gtts"),
    path("gtts/<uuid:trigger_id>", TriggerView.as_view(), name="gtt"),
    path("orders/<uuid:order_id>", OrderView.as_view(), name="order"),
    path("orders/<uuid:order_id>/events", OrderEventListView.as_view(), name="order-events"),
    path("trades", TradeListView.as_view(), name="trades"),
    path("postbacks/kite/<slug:label>", PostbackView.as_view(), name="kite-postback"),
]
