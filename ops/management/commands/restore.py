"""manage.py restore FILE --into NAME: fill a new database from a backup."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ops.backup import restore, server_of
from ops.errors import BackupFailed


class Command(BaseCommand):
    """Never writes into a database that exists."""

    help = (
        "Fill the new database NAME of the configured server from FILE. The running database is not touched: stop "
        "the platform, point DATABASE_URL at NAME and start it again. Opening credentials needs the same key ring "
        "and the same INSTALLATION_ID."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the file and the new database."""
        parser.add_argument("file", type=Path, help="a backup that manage.py backup wrote")
        parser.add_argument("--into", required=True, metavar="NAME", help="name of the new database")

    def handle(self, *args: Any, file: Path, into: str, **options: Any) -> None:
        """Restore."""
        if not file.is_file():
            raise CommandError(f"no file {file}")
        try:
            rows = restore(server=server_of(settings.DATABASES["default"]), path=file, name=into)
        except BackupFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{sum(rows.values())} rows of {len(rows)} tables are in {into}.")
