"""manage.py backup FILE: write the database into a file, and with --drill restore it and compare."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.management.progress import Bar
from ops import backup


class Command(OperatorCommand):
    """Reads one snapshot; the platform goes on working meanwhile."""

    help = (
        "Write the whole database into FILE (pg_dump's custom format, readable by its owner alone). "
        "Credentials in it stay sealed: keep the key ring in another place. --drill restores the file into a "
        "database of its own, counts every table against the snapshot and drops it again."
    )

    trial = Trial.SAID
    examples = """examples:
  manage.py backup /backups/today.dump --drill            and prove that it restores
  manage.py backup /backups/small.dump --without-ticks"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the file and what is to be done with it."""
        parser.add_argument("file", type=Path, help="where the backup is written")
        parser.add_argument("--without-ticks", action="store_true", help="leave recorded ticks out")
        parser.add_argument("--drill", action="store_true", help="restore the file and compare, then drop the copy")

    def answer(self, *, file: Path, without_ticks: bool, drill: bool, preview: bool, **options: Any) -> Answer:
        """Back up, and drill where asked."""
        server = backup.server_of(settings.DATABASES["default"])
        if preview:
            size = backup.size_of(server=server, path=file)
            line = f"{size / 2**20:.0f} MiB of {server.name} packed into {file}"
            return Answer(document={"file": str(file), "database_bytes": size}, lines=[line])
        bar = Bar(stream=sys.stderr, title="backup")
        done = backup.back_up(server=server, path=file, ticks=not without_ticks, told=bar.show)
        document: dict[str, Any] = {
            "file": str(done.path),
            "bytes": done.path.stat().st_size,
            "tables": len(done.rows),
            "rows": sum(done.rows.values()),
            "seconds": round(done.seconds, 2),
        }
        missing: list[str] = []
        if drill:
            found, seconds = backup.drill(server=server, path=done.path, told=bar.show)
            document["drill_seconds"] = round(seconds, 2)
            missing = backup.differences(wanted=done.rows, found=found)
        bar.close()
        return Answer(
            document=document,
            lines=[] if missing else [_sentence(document)],
            error="the restored copy differs:\n" + "\n".join(missing) if missing else "",
        )


def _sentence(document: dict[str, Any]) -> str:
    text = "{rows} rows of {tables} tables in {file}, {bytes} bytes, {seconds} s.".format(**document)
    if "drill_seconds" in document:
        text += f" Restored and compared in {document['drill_seconds']} s: every table is the same."
    return text
