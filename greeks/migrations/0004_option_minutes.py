"""Minutes of single options: partitioned by day, because days are written once and dropped whole."""

from django.db import migrations, models

CREATE = """
CREATE TABLE greeks_optionminute (
    minute_at timestamptz NOT NULL,
    instrument_token bigint NOT NULL,
    underlying varchar(24) NOT NULL,
    expiry date NOT NULL,
    strike double precision NOT NULL,
    sign smallint NOT NULL,
    profile smallint NOT NULL,
    source smallint NOT NULL,
    flags integer NOT NULL,
    price_source smallint NOT NULL,
    forward_source smallint NOT NULL,
    oi bigint NOT NULL,
    volume bigint NOT NULL,
    price real,
    price_age real,
    spot real,
    forward double precision,
    iv real,
    delta real,
    gamma real,
    theta real,
    vega real,
    rho real,
    vanna real,
    charm real,
    vomma real,
    UNIQUE (instrument_token, minute_at)
) PARTITION BY RANGE (minute_at);
CREATE INDEX optionminute_underlying ON greeks_optionminute (underlying, minute_at, expiry);
"""


class Migration(migrations.Migration):
    dependencies = [("greeks", "0003_chain_minutes")]

    operations = [
        migrations.RunSQL(CREATE, "DROP TABLE greeks_optionminute"),
        migrations.AddField(
            model_name="chainsetting",
            name="history_strikes",
            field=models.PositiveSmallIntegerField(
                default=10,
                help_text="Strikes kept every minute above and below the forward even without open interest or volume",
            ),
        ),
        migrations.CreateModel(
            name="OptionMinute",
            fields=[
                ("pk", models.CompositePrimaryKey("instrument_token", "minute_at", blank=True, editable=False, primary_key=True, serialize=False)),
                ("minute_at", models.DateTimeField()),
                ("instrument_token", models.BigIntegerField()),
                ("underlying", models.CharField(max_length=24)),
                ("expiry", models.DateField()),
                ("strike", models.FloatField()),
                ("sign", models.SmallIntegerField()),
                ("profile", models.SmallIntegerField()),
                ("source", models.SmallIntegerField()),
                ("flags", models.IntegerField()),
                ("price_source", models.SmallIntegerField()),
                ("forward_source", models.SmallIntegerField()),
                ("oi", models.BigIntegerField()),
                ("volume", models.BigIntegerField()),
                *[(name, models.FloatField(null=True)) for name in (
                    "price", "price_age", "spot", "forward", "iv", "delta", "gamma", "theta", "vega", "rho", "vanna",
                    "charm", "vomma",
                )],
            ],
            options={"managed": False},
        ),
    ]
