"""URLs of the portfolio API, below /api/v1/."""

from django.urls import path

from portfolio import instruction_views as instructed
from portfolio import sensitivity_views, views

urlpatterns = [
    path("holdings", views.HoldingListView.as_view(), name="holdings"),
    path("positions", views.PositionListView.as_view(), name="positions"),
    path("positions/conversions", instructed.ConversionView.as_view(), name="position-conversions"),
    path("margins", views.MarginListView.as_view(), name="margins"),
    path("profiles", views.ProfileListView.as_view(), name="profiles"),
    path("exposure", views.ExposureListView.as_view(), name="exposure"),
    path("greeks/positions", sensitivity_views.SensitivityListView.as_view(), name="greeks-positions"),
    path("profit", views.ProfitListView.as_view(), name="profit"),
    path("funds", views.FundListView.as_view(), name="funds"),
    path("funds/holdings", views.FundHoldingListView.as_view(), name="fund-holdings"),
    path("funds/orders", instructed.FundOrderListView.as_view(), name="fund-orders"),
    path("funds/orders/<str:order_id>", instructed.FundOrderView.as_view(), name="fund-order"),
    path("funds/sips", instructed.SipListView.as_view(), name="fund-sips"),
    path("funds/sips/<str:sip_id>", instructed.SipView.as_view(), name="fund-sip"),
    path("instructions", instructed.InstructionListView.as_view(), name="instructions"),
    path("instructions/<uuid:instruction_id>", instructed.InstructionView.as_view(), name="instruction"),
]
