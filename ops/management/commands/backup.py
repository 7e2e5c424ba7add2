"""manage.py backup FILE: write the database into a file, and with --drill restore it and compare."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ops import backup
from ops.errors import BackupFailed


class Command(BaseCommand):
    """Reads one snapshot; the platform goes on working meanwhile."""

    help = (
        "Write the whole database into FILE (pg_dump's custom format, readable by its owner alone). "
        "Credentials in it stay sealed: keep the key ring in another place. --drill restores the file into a "
        "database of its own, counts every table against the snapshot and drops it again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the file and what is to be done with it."""
        parser.add_argument("file", type=Path, help="where the backup is written")
        parser.add_argument("--without-ticks", action="store_true", help="leave recorded ticks out")
        parser.add_argument("--drill", action="store_true", help="restore the file and compare, then drop the copy")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, file: Path, without_ticks: bool, drill: bool, **options: Any) -> None:
        """Back up, and drill where asked."""
        server = backup.server_of(settings.DATABASES["default"])
        try:
            done = backup.back_up(server=server, path=file, ticks=not without_ticks)
            document = {
                "file": str(done.path),
                "bytes": done.path.stat().st_size,
                "tables": len(done.rows),
                "rows": sum(done.rows.values()),
                "seconds": round(done.seconds, 2),
            }
            if drill:
                document["drill_seconds"] = self._drill(done.path, done.rows)
        except BackupFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(document) if options["json"] else _sentence(document))

    def _drill(self, path: Path, rows: Any) -> float:
        found, seconds = backup.drill(server=backup.server_of(settings.DATABASES["default"]), path=path)
        missing = backup.differences(wanted=rows, found=found)
        if missing:
            raise CommandError("the restored copy differs:\n" + "\n".join(missing))
        return round(seconds, 2)


def _sentence(document: dict[str, Any]) -> str:
    text = "{rows} rows of {tables} tables in {file}, {bytes} bytes, {seconds} s.".format(**document)
    if "drill_seconds" in document:
        text += f" Restored and compared in {document['drill_seconds']} s: every table is the same."
    return text
