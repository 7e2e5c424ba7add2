"""URLs of the accounts API and of the broker login."""

from django.urls import path

from accounts import address_views, login_views, sign_in_views, ticket_views, views

urlpatterns = [
    path("api/v1/me", views.PrincipalView.as_view(), name="me"),
    path("api/v1/me/token", views.OwnTokenView.as_view(), name="own-token"),
    path("api/v1/socket-tickets", ticket_views.SocketTicketView.as_view(), name="socket-tickets"),
    path("api/v1/accounts", views.AccountListView.as_view(), name="accounts"),
    path("api/v1/accounts/stats", address_views.StatsView.as_view(), name="account-stats"),
    path("api/v1/accounts/<slug:label>", views.AccountView.as_view(), name="account"),
    path("api/v1/accounts/<slug:label>/credentials", views.CredentialsView.as_view(), name="account-credentials"),
    path("api/v1/accounts/<slug:label>/state", views.AccountStateView.as_view(), name="account-state"),
    path("api/v1/accounts/<slug:label>/addresses", address_views.AddressesView.as_view(), name="account-addresses"),
    path("api/v1/accounts/<slug:label>/egress-check", address_views.EgressCheckView.as_view(), name="account-egress"),
    path("api/v1/accounts/<slug:label>/history", address_views.HistoryView.as_view(), name="account-history"),
    path("api/v1/accounts/<slug:label>/login", login_views.LoginView.as_view(), name="account-login"),
    path("api/v1/accounts/<slug:label>/probe", views.ProbeView.as_view(), name="account-probe"),
    path("admin/login/", sign_in_views.sign_in, name="sign-in"),
    path("admin/logout/", sign_in_views.sign_out, name="sign-out"),
    path("admin/second-factor/", sign_in_views.give_second_factor, name="second-factor"),
    path("admin/confirm/", sign_in_views.confirm, name="confirm"),
    path("accounts/kite/login/<slug:label>/", views.begin_login, name="kite-login"),
    path("accounts/kite/callback", views.finish_login, name="kite-callback"),
]
