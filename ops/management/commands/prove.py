"""Proves requirements: runs their campaigns on throw-away servers and keeps what they showed."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ops.stack.proofs import Proof
from ops.stack.proving import Progress, prove
from ops.stack.requirements import PROOFS

EXAMPLES = """examples:
  manage.py prove --list            what can be proved
  manage.py prove R01               the short campaign of one requirement
  manage.py prove R02 --seeds 5000  the simulation, so many days
  manage.py prove R01 R02 --long    the long campaigns of two
  manage.py prove --all --json      everything, the records as JSON on standard output

A proof starts its own PostgreSQL, Valkey and exchange and never touches those of this installation.
Its record goes into the folder proofs/ of the data folder. The exit code is 0 only where every verdict is "holds"."""
WIDTH = 24


class Command(BaseCommand):
    """Assembles one run of each wanted proof."""

    help = __doc__
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the line breaks of the examples."""
        kwargs |= {"epilog": EXAMPLES, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Name requirements, or all of them."""
        parser.add_argument("ids", nargs="*", metavar="ID", help="requirement, as --list shows it")
        parser.add_argument("--all", action="store_true", help="prove every requirement")
        parser.add_argument("--list", action="store_true", help="list the requirements and their last verdicts")
        size = parser.add_mutually_exclusive_group()
        size.add_argument("--short", action="store_true", help="what ./test runs too (default)")
        size.add_argument("--long", action="store_true", help="the whole campaign")
        parser.add_argument("--seeds", type=int, metavar="N", help="days to live through in the simulation (R02)")
        parser.add_argument("--json", action="store_true", help="print the records as JSON")

    def handle(self, **options: Any) -> None:
        """List or prove."""
        folder = settings.DATA_DIR / "proofs"
        if options["list"]:
            self._list(folder)
            return
        chosen = _chosen(options["ids"], everything=options["all"])
        records = [self._prove(proof, folder=folder, options=options) for proof in chosen]
        if options["json"]:
            self.stdout.write(json.dumps(records, indent=2))
        kept = sum(record["verdict"] == "holds" for record in records)
        if kept < len(records):
            raise CommandError(f"{len(records) - kept} of {len(records)} requirements are not proved")

    def _list(self, folder: Path) -> None:
        for proof in PROOFS:
            last = folder / f"{proof.id}.json"
            told = json.loads(last.read_text()) if last.is_file() else {}
            when = f"{told['verdict']} ({told['mode']}, {told['ended_at'][:16]})" if told else "never run here"
            self.stdout.write(f"{proof.id}  {when:<36}  {proof.sentence}")

    def _prove(self, proof: Proof, *, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
        bar = Bar(proof.id, shown=not options["json"] and sys.stderr.isatty())
        record = prove(proof=proof, long=options["long"], seeds=options["seeds"], told=bar.show)
        bar.clear()
        folder.mkdir(parents=True, exist_ok=True)
        stamp = record["started_at"].replace(":", "").replace("+0000", "Z")
        for name in (f"{proof.id}.json", f"{proof.id}-{stamp}.json"):
            (folder / name).write_text(json.dumps(record, indent=2) + "\n")
        if not options["json"]:
            self._tell(record)
        return record

    def _tell(self, record: dict[str, Any]) -> None:
        style = self.style.SUCCESS if record["verdict"] == "holds" else self.style.ERROR
        self.stdout.write(style(f"{record['id']} {record['verdict']}: {record['sentence']}"))
        for name, value in record["numbers"].items():
            self.stdout.write(f"     {name}: {value:g}")
        for line in [*record["reasons"], *(f"not covered: {text}" for text in record["not_covered"])]:
            self.stdout.write(f"     {line}")
        if record["output"]:
            self.stdout.write(record["output"])


class Bar:
    """A line on a terminal that says how far a proof is."""

    def __init__(self, name: str, *, shown: bool) -> None:
        self._name = name
        self._shown = shown
        self._began = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Draw the line anew."""
        if not self._shown:
            return
        filled = round(progress.share * WIDTH)
        tests = f"{progress.done}/{progress.collected} tests"
        seconds = f"{time.monotonic() - self._began:.0f} s"
        line = f"\r{self._name} [{'#' * filled}{'.' * (WIDTH - filled)}] {progress.share:4.0%} {tests} {seconds} "
        sys.stderr.write(line)
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")


def _chosen(ids: Sequence[str], *, everything: bool) -> list[Proof]:
    known = {proof.id: proof for proof in PROOFS}
    if everything:
        return list(PROOFS)
    if not ids:
        raise CommandError("name a requirement, or say --all; --list shows them")
    unknown = sorted(set(ids) - set(known))
    if unknown:
        raise CommandError(f"nothing proves {', '.join(unknown)}; --list shows what can be proved")
    return [known[one] for one in ids]
