"""Proves requirements: runs their campaigns on throw-away servers and keeps what they showed."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.management.progress import Bar
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
Its record goes into the folder proofs/ of the data folder. It ends with 0 only where every verdict is "holds"."""


class Command(OperatorCommand):
    """Assembles one run of each wanted proof."""

    help = __doc__
    requires_system_checks: list[str] = []
    trial = Trial.SAID
    examples = EXAMPLES

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Name requirements, or all of them."""
        parser.add_argument("ids", nargs="*", metavar="ID", help="requirement, as --list shows it")
        parser.add_argument("--all", action="store_true", help="prove every requirement")
        parser.add_argument("--list", action="store_true", help="list the requirements and their last verdicts")
        size = parser.add_mutually_exclusive_group()
        size.add_argument("--short", action="store_true", help="what ./test runs too (default)")
        size.add_argument("--long", action="store_true", help="the whole campaign")
        parser.add_argument("--seeds", type=int, metavar="N", help="days to live through in the simulation (R02)")

    def answer(self, *, ids: Sequence[str], preview: bool, **options: Any) -> Answer:
        """List or prove."""
        folder = settings.DATA_DIR / "proofs"
        if options["list"]:
            return _listed(folder)
        chosen = _chosen(ids, everything=options["all"])
        if preview:
            return Answer(
                document={"proofs": [proof.id for proof in chosen]},
                lines=[f"{proof.id} proved: {proof.sentence}" for proof in chosen],
            )
        records = [self._prove(proof, folder=folder, options=options) for proof in chosen]
        missing = sum(record["verdict"] != "holds" for record in records)
        return Answer(
            document={"proofs": records},
            error=f"{missing} of {len(records)} requirements are not proved" if missing else "",
        )

    def _prove(self, proof: Proof, *, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
        bar, began = Bar(stream=sys.stderr, title=proof.id), time.monotonic()

        def told(progress: Progress) -> None:
            tests = f"{progress.done}/{progress.collected} tests"
            bar.show(f"{tests} {time.monotonic() - began:.0f} s", progress.share)

        record = prove(proof=proof, long=options["long"], seeds=options["seeds"], told=told)
        bar.close()
        folder.mkdir(parents=True, exist_ok=True)
        stamp = record["started_at"].replace(":", "").replace("+0000", "Z")
        for name in (f"{proof.id}.json", f"{proof.id}-{stamp}.json"):
            (folder / name).write_text(json.dumps(record, indent=2) + "\n")
        self._tell(record)
        return record

    def _tell(self, record: dict[str, Any]) -> None:
        style = self.style.SUCCESS if record["verdict"] == "holds" else self.style.ERROR
        self.remark(style(f"{record['id']} {record['verdict']}: {record['sentence']}"))
        for name, value in record["numbers"].items():
            self.remark(f"     {name}: {value:g}")
        for line in [*record["reasons"], *(f"not covered: {text}" for text in record["not_covered"])]:
            self.remark(f"     {line}")
        if record["output"]:
            self.remark(record["output"])


def _listed(folder: Path) -> Answer:
    rows = [{"id": proof.id, "sentence": proof.sentence, "last": _last(folder, proof)} for proof in PROOFS]
    return Answer(document={"proofs": rows}, lines=list(map(_line, rows)))


def _last(folder: Path, proof: Proof) -> dict[str, Any] | None:
    kept = folder / f"{proof.id}.json"
    told = json.loads(kept.read_text()) if kept.is_file() else None
    return told and {name: told[name] for name in ("verdict", "mode", "ended_at")}


def _line(row: dict[str, Any]) -> str:
    last = row["last"]
    when = f"{last['verdict']} ({last['mode']}, {last['ended_at'][:16]})" if last else "never run here"
    return f"{row['id']}  {when:<36}  {row['sentence']}"


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
