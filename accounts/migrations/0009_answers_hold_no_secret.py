"""An answer holds no secret any more, so none is kept sealed; what was kept so goes with its row."""

from typing import Any

from django.db import migrations


def forget_the_sealed(apps: Any, _editor: Any) -> None:
    """Delete the kept answers that showed a secret."""
    apps.get_model("accounts", "KeptAnswer").objects.filter(sealed_body__isnull=False).delete()


class Migration(migrations.Migration):
    """Drops the sealed column of the kept answers."""

    dependencies = [("accounts", "0008_kept_answers")]

    operations = [
        migrations.RunPython(forget_the_sealed, migrations.RunPython.noop),
        migrations.RemoveField(model_name="keptanswer", name="sealed_body"),
    ]
