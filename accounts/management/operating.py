"""How a command answers: sentences for a person or one JSON document for a program, a trial, and exit codes."""

import argparse
import json
import sys
import textwrap
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final, Never

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.core.serializers.json import DjangoJSONEncoder
from django.db import InterfaceError, OperationalError, transaction

from accounts.errors import PlatformError
from kite.errors import KiteError, Throttled, Unavailable

WRONG: Final = 1
NOT_UNDERSTOOD: Final = 2
TRY_AGAIN: Final = 3
INTERRUPTED: Final = 130
EXIT_CODES: Final = f"""exit codes:
  0    done, or tried and found possible
  {WRONG}    refused, or something is wrong; the text says what
  {NOT_UNDERSTOOD}    the arguments were not understood
  {TRY_AGAIN}    the database, Redis or the broker did not answer: try again
  {INTERRUPTED}  interrupted"""
SERVER_CODES: Final = f"""exit codes:
  0    told to stop (SIGTERM, SIGINT) and stopped in order
  {WRONG}    could not start or broke; the last line of its log says why, and a supervisor starts it anew
  {NOT_UNDERSTOOD}    the arguments were not understood"""
TRIED: Final = "Dry run, nothing is changed. It would be:"
WIDTH: Final = 78


class Trial(StrEnum):
    """What --dry-run does: nothing to try, all of it in a transaction that is taken back, or what the command says."""

    NONE = "none"
    TAKEN_BACK = "taken back"
    SAID = "said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was done: a document for programs, lines for people, and what is wrong in spite of it."""

    document: Mapping[str, Any]
    lines: Sequence[str] = ()
    error: str = ""


class Failure(CommandError):
    """An end that is no success, with the code that a program reads."""

    def __init__(self, message: str, *, code: str, returncode: int = WRONG) -> None:
        super().__init__(message, returncode=returncode)
        self.code = code


@contextmanager
def taken_back() -> Iterator[None]:
    """Take back what the block writes into the database."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


class Layout(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's order of the options, and the line breaks of the examples."""


class OperatorCommand(BaseCommand):
    """A command with --json, with --dry-run where it changes something, and with exit codes.

    With --json standard output is one document, {"error": {"code", "detail"}} where it failed; remarks and progress go
    to standard error.
    """

    examples: ClassVar[str] = ""
    trial: ClassVar[Trial] = Trial.TAKEN_BACK
    _json = False
    _said = False

    @abstractmethod
    def answer(self, *args: Any, **options: Any) -> Answer:
        """Do it and return what was done; `preview` among the options says that it is only tried."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Add what every command has."""
        epilog = "\n\n".join(filter(None, [self.examples, EXIT_CODES]))
        parser = super().create_parser(prog_name, subcommand, epilog=epilog, formatter_class=Layout, **kwargs)
        parser.description = textwrap.fill(self.help, WIDTH)
        parser.add_argument("--json", action="store_true", help="answer with one JSON document on standard output")
        if self.trial != Trial.NONE:
            self.add_trial(parser)
        if self._json:
            # It exits by itself otherwise, and its reason never becomes a document.
            parser.called_from_command_line = False
        return parser

    def add_trial(self, parser: CommandParser) -> None:
        """Add --dry-run."""
        parser.add_argument(
            "--dry-run", dest="preview", action="store_true", help="say what would change and change nothing"
        )

    def run_from_argv(self, argv: list[str]) -> None:
        """Let every end be a document where one was asked for."""
        self._json = "--json" in argv
        try:
            super().run_from_argv(argv)
        except CommandError as error:
            self._print(_failure("arguments", str(error)))
            self.stderr.write(str(error))
            sys.exit(NOT_UNDERSTOOD)
        except KeyboardInterrupt:
            self.stderr.write("interrupted")
            sys.exit(INTERRUPTED)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the checks and the command; whatever ends it, the document is complete."""
        self._json, self._said = bool(options.get("json")), False
        try:
            return super().execute(*args, **options)
        finally:
            if self._json and not self._said:
                self._print(_failure_of(sys.exc_info()[1]))

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, or try it, and say so."""
        try:
            answer = self._answer(options)
        except (PlatformError, KiteError, OperationalError, InterfaceError) as error:
            _raise(error)
        if self._json:
            mark = {"preview": True} if options.get("preview") else {}
            trouble = _failure("failed", answer.error) if answer.error else {}
            self._print({**answer.document, **mark, **trouble})
        else:
            for line in [*([TRIED] if options.get("preview") else []), *answer.lines]:
                self.stdout.write(line)
        if answer.error:
            raise Failure(answer.error, code="failed")

    def remark(self, text: str) -> None:
        """Say something that is no part of the answer, while it goes on."""
        if self._json:
            self.stderr.write(text, str)
        else:
            self.stdout.write(text)

    def _answer(self, options: dict[str, Any]) -> Answer:
        if self.trial != Trial.TAKEN_BACK or not options.get("preview"):
            return self.answer(**options)
        with taken_back():
            return self.answer(**options)

    def _print(self, document: Mapping[str, Any]) -> None:
        self._said = True
        self.stdout.write(json.dumps(document, cls=DjangoJSONEncoder))


def _raise(error: Exception) -> Never:
    again = error.retryable if isinstance(error, PlatformError) else not isinstance(error, KiteError)
    again = again or isinstance(error, (Unavailable, Throttled))
    code = error.code if isinstance(error, (PlatformError, KiteError)) else "database_down"
    raise Failure(str(error).strip(), code=code, returncode=TRY_AGAIN if again else WRONG) from error


def _failure_of(error: BaseException | None) -> dict[str, Any]:
    if isinstance(error, CommandError):
        return _failure(getattr(error, "code", "refused"), str(error))
    return _failure("broke", type(error).__name__)


def _failure(code: str, detail: str) -> dict[str, Any]:
    return {"error": {"code": code, "detail": detail}}
