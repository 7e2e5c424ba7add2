"""manage.py restore FILE --into NAME: fill a new database from a backup."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.management.progress import Bar
from ops.backup import restore, server_of, tables_of


class Command(OperatorCommand):
    """Never writes into a database that exists."""

    help = (
        "Fill the new database NAME of the configured server from FILE. The running database is not touched: stop "
        "the platform, point DATABASE_URL at NAME and start it again. Opening credentials needs the same key ring "
        "and the same INSTALLATION_ID."
    )

    trial = Trial.SAID
    examples = """examples:
  manage.py restore /backups/today.dump --into ticker_restored --dry-run
  manage.py restore /backups/today.dump --into ticker_restored"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the file and the new database."""
        parser.add_argument("file", type=Path, help="a backup that manage.py backup wrote")
        parser.add_argument("--into", required=True, metavar="NAME", help="name of the new database")

    def answer(self, *, file: Path, into: str, preview: bool, **options: Any) -> Answer:
        """Restore."""
        if not file.is_file():
            raise CommandError(f"no file {file}")
        server = server_of(settings.DATABASES["default"])
        if preview:
            tables = tables_of(server=server, path=file, name=into)
            line = f"{len(tables)} tables of {file} in the new database {into}"
            return Answer(document={"into": into, "tables": len(tables)}, lines=[line])
        bar = Bar(stream=sys.stderr, title="restore")
        rows = restore(server=server, path=file, name=into, told=bar.show)
        bar.close()
        return Answer(
            document={"into": into, "tables": len(rows), "rows": sum(rows.values())},
            lines=[f"{sum(rows.values())} rows of {len(rows)} tables are in {into}."],
        )
