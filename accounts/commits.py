"""What is done once a transaction has been committed."""

from collections.abc import Callable
from typing import ParamSpec

from django.db import transaction

Given = ParamSpec("Given")


def after_commit(work: Callable[Given, object], *arguments: Given.args, **named: Given.kwargs) -> None:
    """Do it when the transaction has been committed; a failure is logged and changes no answer.

    Django logs the failing callback by a name that a `functools.partial` has not: one given to `on_commit` itself would
    turn its failure into an error of a request whose work is committed.
    """

    def run() -> None:
        work(*arguments, **named)

    transaction.on_commit(run, robust=True)
