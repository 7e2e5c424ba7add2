"""How the admin looks and how its sidebar is ordered."""

from collections.abc import Mapping

from django.templatetags.static import static
from django.urls import reverse_lazy

# Tailwind's teal, the colour of the Desk.
TEAL = {
    "50": "oklch(98.4% .014 180.72)",
    "100": "oklch(95.3% .051 180.801)",
    "200": "oklch(91% .096 180.426)",
    "300": "oklch(85.5% .138 181.071)",
    "400": "oklch(77.7% .152 181.912)",
    "500": "oklch(60% .118 184.704)",
    "600": "oklch(51.1% .096 186.391)",
    "700": "oklch(43.7% .078 188.216)",
    "800": "oklch(38.6% .063 188.416)",
    "900": "oklch(32% .055 189)",
    "950": "oklch(27.7% .046 192.524)",
}
# Title, then (name, icon, list page) of each entry.
SECTIONS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "Operations": (
        ("Desk", "monitoring", "desk"),
        ("Alerts", "notifications", "admin:ops_alert_changelist"),
        ("Alert channels", "campaign", "admin:ops_alertchannel_changelist"),
        ("Alert deliveries", "forward_to_inbox", "admin:ops_alertdelivery_changelist"),
        ("Approvals", "how_to_reg", "admin:accounts_approval_changelist"),
        ("Trading halts", "front_hand", "admin:accounts_tradinghalt_changelist"),
        ("Audit trail", "history", "admin:accounts_auditentry_changelist"),
        ("Periodic tasks", "schedule", "admin:django_celery_beat_periodictask_changelist"),
    ),
    "Accounts": (
        ("Broker accounts", "account_balance", "admin:accounts_brokeraccount_changelist"),
        ("Account groups", "family_restroom", "admin:accounts_accountgroup_changelist"),
        ("Credentials", "key", "admin:accounts_credential_changelist"),
        ("Users", "person", "admin:accounts_user_changelist"),
        ("API keys", "vpn_key", "admin:accounts_apikey_changelist"),
        ("Sign-ins", "devices", "admin:accounts_signin_changelist"),
        ("Second factors", "phonelink_lock", "admin:accounts_secondfactor_changelist"),
        ("Wrong passwords", "lock", "admin:axes_accessattempt_changelist"),
    ),
    "Orders": (
        ("Orders", "receipt_long", "admin:orders_order_changelist"),
        ("Trades", "handshake", "admin:orders_trade_changelist"),
        ("Position gaps", "difference", "admin:orders_positiongap_changelist"),
        ("Book readings", "menu_book", "admin:orders_bookreading_changelist"),
        ("Carried positions", "bedtime", "admin:orders_carriedposition_changelist"),
        ("Order budgets", "speed", "admin:orders_orderbudget_changelist"),
        ("Risk limits", "shield", "admin:orders_risklimit_changelist"),
        ("Webhooks", "webhook", "admin:webhooks_endpoint_changelist"),
        ("Webhook deliveries", "outbox", "admin:webhooks_delivery_changelist"),
    ),
    "Market data": (
        ("Trading days", "event", "admin:market_data_marketday_changelist"),
        ("Instruments", "list_alt", "admin:market_data_instrument_changelist"),
        ("Instrument changes", "published_with_changes", "admin:market_data_instrumentchange_changelist"),
        ("Instrument loads", "sync", "admin:market_data_instrumentsync_changelist"),
        ("Freeze quantities", "ac_unit", "admin:market_data_freezequantity_changelist"),
        ("Subscriptions", "rss_feed", "admin:market_data_subscription_changelist"),
        ("Saved lists", "format_list_bulleted", "admin:market_data_instrumentlist_changelist"),
        ("Chain windows", "open_in_full", "admin:market_data_chainwindow_changelist"),
        ("Candle chart", "candlestick_chart", "candles-page"),
        ("Stored candles", "table_rows", "admin:market_data_candle_changelist"),
        ("Staleness limits", "hourglass_bottom", "admin:market_data_stalenesslimit_changelist"),
        ("Pressure limits", "compress", "admin:market_data_pressurelimit_changelist"),
        ("Feed gaps", "link_off", "admin:market_data_feedgap_changelist"),
    ),
    "Portfolio": (
        ("Instructions", "swap_horiz", "admin:portfolio_instruction_changelist"),
        ("Readings", "menu_book", "admin:portfolio_reading_changelist"),
    ),
    "Greeks": (
        ("Option chains", "stacked_line_chart", "chains-page"),
        ("Chain settings", "functions", "admin:greeks_chainsetting_changelist"),
        ("Rates", "percent", "admin:greeks_ratesetting_changelist"),
        ("Dividends", "payments", "admin:greeks_dividendsetting_changelist"),
    ),
}


def unfold_look() -> dict[str, object]:
    """Return the settings of django-unfold."""
    return {
        "STYLES": [lambda _request: static("ops/admin.css")],
        "SITE_TITLE": "Ticker Site",
        "SITE_HEADER": "Ticker Site",
        "SITE_SYMBOL": "monitoring",
        "SITE_URL": reverse_lazy("desk"),
        "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("ops/mark.svg")}],
        "SHOW_HISTORY": True,
        "SHOW_VIEW_ON_SITE": False,
        "COLORS": {"primary": TEAL},
        "SIDEBAR": {
            "show_search": True,
            "show_all_applications": False,
            "navigation": [
                {
                    "title": title,
                    "separator": True,
                    "collapsible": False,
                    "items": [
                        {"title": name, "icon": icon, "link": reverse_lazy(page)} for name, icon, page in entries
                    ],
                }
                for title, entries in SECTIONS.items()
            ],
        },
    }
