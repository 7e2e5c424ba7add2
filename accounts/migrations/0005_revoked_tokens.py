"""Tokens of the external issuer that were ended before their time."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_approvals")]

    operations = [
        migrations.CreateModel(
            name="RevokedToken",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
        ),
    ]
