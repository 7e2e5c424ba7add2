"""The index chains and a rate a new installation starts with; the admin changes them."""

from datetime import date
from decimal import Decimal

from django.db import migrations

CHAINS = [
    ("NIFTY", "NFO", "NSE", "NIFTY 50"),
    ("BANKNIFTY", "NFO", "NSE", "NIFTY BANK"),
    ("FINNIFTY", "NFO", "NSE", "NIFTY FIN SERVICE"),
    ("SENSEX", "BFO", "BSE", "SENSEX"),
]


def add(apps, schema_editor):
    chain_setting = apps.get_model("greeks", "ChainSetting")
    for underlying, exchange, index_exchange, index_symbol in CHAINS:
        chain_setting.objects.create(
            underlying=underlying, exchange=exchange, index_exchange=index_exchange, index_symbol=index_symbol
        )
    apps.get_model("greeks", "RateSetting").objects.create(
        effective_date=date(2000, 1, 1), rate=Decimal("0.065"), source="assumed at installation: enter the 91-day bill"
    )


class Migration(migrations.Migration):
    dependencies = [("greeks", "0001_initial")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
