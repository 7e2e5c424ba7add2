"""The tick table: partitioned by day, because days are written once and dropped whole."""

from django.db import migrations

CREATE = """
CREATE TABLE market_data_tick (
    received_at timestamptz NOT NULL,
    exchange_at timestamptz,
    last_trade_at timestamptz,
    instrument_token bigint NOT NULL,
    kind smallint NOT NULL,
    shard smallint NOT NULL,
    epoch integer NOT NULL,
    sequence bigint NOT NULL,
    position integer NOT NULL,
    last_price double precision NOT NULL,
    average_price double precision NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    last_quantity bigint NOT NULL,
    volume bigint NOT NULL,
    buy_quantity bigint NOT NULL,
    sell_quantity bigint NOT NULL,
    oi bigint NOT NULL,
    oi_high bigint NOT NULL,
    oi_low bigint NOT NULL,
    depth bytea
) PARTITION BY RANGE (received_at);
CREATE INDEX tick_received_at ON market_data_tick USING brin (received_at);
CREATE INDEX tick_instrument_token_received_at ON market_data_tick (instrument_token, received_at);
"""


class Migration(migrations.Migration):
    dependencies = [("market_data", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, "DROP TABLE market_data_tick")]
