"""Stops trading on the platform, an account, a strategy or a symbol."""

import argparse
from typing import Any

from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand
from accounts.management.whoami import operator_name
from accounts.models import TradingHalt
from ops import clearing, halt

EXAMPLES = """examples:
  manage.py halt --reason "runaway strategy"                          everything
  manage.py halt --account desk-1 --reason "margin call"              one account
  manage.py halt --symbol NSE:INFY --reason "corporate action"        one instrument
  manage.py halt --strategy momentum --reducing --reason "drawdown"   only orders that reduce a position

What is already on the wire cannot be called back; cancels always leave. Let go again with manage.py resume."""


class Command(OperatorCommand):
    """Assembles one call of ops.halt.engage."""

    help = "Stop trading: nothing new leaves from the moment the command has ended."
    examples = EXAMPLES

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Name the scope, at most one; none is the platform."""
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--account", metavar="LABEL", help="stop one account alone")
        where.add_argument("--strategy", metavar="NAME", help="stop one strategy alone")
        where.add_argument("--symbol", metavar="EXCHANGE:SYMBOL", help="stop one instrument alone")
        parser.add_argument("--reducing", action="store_true", help="let orders through that reduce a position")
        parser.add_argument("--cancel-orders", action="store_true", help="take back what is open, too")
        parser.add_argument("--reason", required=True, help="goes into the audit trail")

    def answer(self, *, cancel_orders: bool, preview: bool, **options: Any) -> Answer:
        """Engage and say so."""
        scope, target = _scope(options)
        level = TradingHalt.Level.REDUCING if options["reducing"] else TradingHalt.Level.HALTED
        reason, actor, now = options["reason"], operator_name(), timezone.now()
        engaged = halt.engage(scope=scope, target=target, level=level, reason=reason, actor=actor, now=now)
        document = {"scope": scope, "target": target, "level": level, "cancels_orders": cancel_orders}
        if preview:
            return Answer(document=document, lines=[str(engaged)])
        lines = [f"halt {engaged.pk}: {engaged}"]
        if cancel_orders:
            clearing.begin(halt_id=engaged.pk, flatten=False, actor=actor, now=now)
            follow = f"manage.py flatten {engaged.pk} --orders-only"
            lines.append(f"open orders are taken back; {follow} shows how far that is")
        return Answer(document={"halt": engaged.pk, **document}, lines=lines)


def _scope(options: dict[str, Any]) -> tuple[TradingHalt.Scope, str]:
    for scope in (TradingHalt.Scope.ACCOUNT, TradingHalt.Scope.STRATEGY, TradingHalt.Scope.SYMBOL):
        if options[scope.value]:
            return scope, options[scope.value]
    return TradingHalt.Scope.PLATFORM, ""
