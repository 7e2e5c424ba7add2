"""The verbs of the Desk: each says first what it would touch, then does it, with a reason."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from accounts.audit import required
from accounts.errors import AccountUnknown
from accounts.models import BrokerAccount, TradingHalt
from accounts.queries import Principal
from market_data.errors import CapacityExceeded
from ops import account_verbs, alerts, clearing, failover, halt
from ops.errors import HaltUnknown, VerbUnknown
from ops.previews import Form, Preview, Touch, Verb, choice_of
from ops.state import Json, to_json
from ops.status import glance
from orders.models import Order
from orders.states import AT_BROKER, IN_FLIGHT, WAITING

LASTS: Mapping[str, tuple[str, timedelta | None]] = {
    "5": ("5 minutes, data only", timedelta(minutes=5)),
    "60": ("1 hour, data only", timedelta(hours=1)),
    "for-good": ("Until restored; it takes no new orders either", None),
}
ORDERS = {"keep": "Leave open orders as they are", "cancel": "Take every open order back"}
STEPS = {
    "ask": "Ask a second person to approve the release",
    "release": "Release: a second person has approved",
    "ask_flatten": "Stay halted; ask a second person to have every position closed",
    "flatten": "Stay halted and close every position: a second person has approved",
}
LEVELS = {
    "halted": "HALTED: nothing new leaves",
    "reducing": "REDUCING: only orders that reduce a position leave",
}


def preview(*, name: str, target: str, principal: Principal, now: datetime) -> Json:
    """Return what the verb would touch; changes nothing."""
    _check_target(target, principal)
    return to_json(_verb(name).show(target, now))


def is_stepped_up(*, name: str) -> bool:
    """Say whether the verb wants a fresh proof of who is there."""
    return _verb(name).stepped_up


def perform(*, name: str, form: Form, principal: Principal, now: datetime) -> str:
    """Do it and return the sentence that says so."""
    target = form.get("target", "")
    _check_target(target, principal)
    done = _verb(name).do(target, form, principal, now)
    glance().forget()
    return done


def _verb(name: str) -> Verb:
    if name not in VERBS:
        raise VerbUnknown(f"the Desk has no verb {name!r}")
    return VERBS[name]


def _check_target(target: str, principal: Principal) -> None:
    account = BrokerAccount.objects.filter(label=target).first()
    if account is not None and not principal.sees(account.pk):
        raise AccountUnknown(f"no account is labelled {target!r}", field="target")


def _show_halt(target: str, _now: datetime) -> Preview:
    orders = Order.objects.filter(account__label=target) if target else Order.objects.all()
    accounts = 1 if target else BrokerAccount.objects.exclude(state="retired").filter(places_orders=True).count()
    waiting = orders.filter(state__in=sorted(WAITING)).count()
    flying = orders.filter(state__in=sorted(IN_FLIGHT)).count()
    resting = orders.filter(state__in=sorted(AT_BROKER)).count()
    return Preview(
        title=f"Halt {target}" if target else "Halt all trading",
        text="It holds from the moment it is committed; what is already on the wire cannot be called back.",
        touches=(
            Touch(f"{accounts}", f"account{'s' * (accounts != 1)} can send no new order"),
            Touch(f"{waiting}", "orders that wait here are denied"),
            Touch(f"{flying}", "orders are on their way and may still arrive"),
            Touch(f"{resting}", "orders rest at the exchange and stay; cancels always leave"),
        ),
        choices=(choice_of("level", "How far", LEVELS), choice_of("orders", "What is open", ORDERS)),
        confirm=f"Halt {target}" if target else "Halt all trading",
    )


def _do_halt(target: str, form: Form, by: Principal, now: datetime) -> str:
    scope = TradingHalt.Scope.ACCOUNT if target else TradingHalt.Scope.PLATFORM
    level = TradingHalt.Level(form["level"]) if form.get("level") in LEVELS else TradingHalt.Level.HALTED
    engaged = halt.engage(
        scope=scope, target=target, level=level, reason=form.get("reason", ""), actor=by.label, now=now
    )
    done = f"{target or 'All trading'} is {engaged.level}."
    if form.get("orders") != "cancel":
        return done
    clearing.begin(halt_id=engaged.pk, flatten=False, actor=by.label, now=now)
    return f"{done} Open orders are taken back."


def _show_resume(target: str, _now: datetime) -> Preview:
    standing = _standing(target)
    where = f"{standing.scope} {standing.target}".strip()
    return Preview(
        title=f"Release the halt of the {where}" if standing.target else "Release the platform's halt",
        text=f"Engaged by {standing.engaged_by}: {standing.reason}",
        touches=(Touch("→", "new orders leave again; denied ones stay denied and must be sent anew"),),
        choices=(choice_of("step", "Two people do this", STEPS),),
        confirm="Go on",
        mild=True,
    )


def _do_resume(target: str, form: Form, by: Principal, now: datetime) -> str:
    reason, held = required(form.get("reason", "")), _standing(target)
    step = form.get("step", "release")
    if step == "ask" or form.get("ask") == "1":
        halt.ask_release(halt_id=held.pk, by=by, reason=reason, now=now)
        return "Another person has to approve the release; then release it here."
    if step == "ask_flatten":
        clearing.ask_flatten(halt_id=held.pk, by=by, reason=reason, now=now)
        return "Another person has to approve it; then have the positions closed here."
    if step == "flatten":
        clearing.begin(halt_id=held.pk, flatten=True, actor=by.label, now=now)
        return "Open orders are taken back, then positions are closed until the broker shows none."
    released = halt.release(halt_id=held.pk, actor=by.label, now=now, reason=reason)
    return f"{released.target or 'The platform'} trades again."


def _standing(target: str) -> TradingHalt:
    standing = TradingHalt.objects.filter(released_at=None)
    found = standing.filter(pk=target).first() if target.isdecimal() else standing.filter(scope="platform").first()
    if found is None:
        raise HaltUnknown("that halt is not in force any more")
    return found


def _show_fail_over(target: str, now: datetime) -> Preview:
    move = failover.plan(label=target, now=now)
    takers = ", ".join(f"{label} takes {count:,}" for label, count in sorted(move.takers.items()))
    touches = [Touch(f"{move.instruments:,}", f"instruments move: {takers or 'nobody else could take them'}")]
    try:
        move.require_room()
    except CapacityExceeded as error:
        touches.append(Touch("!", f"it will be refused: {error}"))
    touches.append(Touch("0", "orders move: they stay with their account"))
    return Preview(
        title=f"Fail {target} over",
        text="Its sockets close and the other accounts stream its instruments, within five seconds.",
        touches=tuple(touches),
        choices=(choice_of("lasts", "For how long", {value: text for value, (text, _) in LASTS.items()}),),
        confirm=f"Fail {target} over",
    )


def _do_fail_over(target: str, form: Form, by: Principal, now: datetime) -> str:
    _, lasts = LASTS.get(form.get("lasts", ""), LASTS["5"])
    move = failover.fail_over(
        label=target, reason=form.get("reason", ""), actor=by.label, now=now, until=now + lasts if lasts else None
    )
    return f"{move.instruments:,} instruments of {target} are moving."


def _show_restore(target: str, _now: datetime) -> Preview:
    account = failover.account_of(target)
    return Preview(
        title=f"Restore {target}",
        text=f"It is {account.state}: {account.state_reason}" if account.state_reason else f"It is {account.state}.",
        touches=(Touch("→", "it streams its share again; nothing else moves"),),
        confirm="Restore",
        mild=True,
    )


def _do_restore(target: str, form: Form, by: Principal, now: datetime) -> str:
    failover.restore(label=target, reason=form.get("reason", ""), actor=by.label, now=now)
    return f"{target} is active again."


def _show_acknowledge(target: str, _now: datetime) -> Preview:
    alert = alerts.open_alert(alert_id=_number(target))
    held = f" {alert.owner} has it now." if alert.owner else ""
    return Preview(
        title="Take this in hand",
        text=f"{alert.text}{held}",
        touches=(Touch("→", "it is yours from now on and is not escalated; it closes when its cause is gone"),),
        confirm="Take in hand",
        mild=True,
    )


def _do_acknowledge(target: str, form: Form, by: Principal, now: datetime) -> str:
    alert = alerts.acknowledge(alert_id=_number(target), actor=by.label, reason=form.get("reason", ""), now=now)
    return f"{by.label} has it in hand: {alert.text}"


def _number(target: str) -> int:
    return int(target) if target.isdecimal() else 0


VERBS: Mapping[str, Verb] = {
    "acknowledge": Verb(_show_acknowledge, _do_acknowledge),
    "halt": Verb(_show_halt, _do_halt),
    "resume": Verb(_show_resume, _do_resume, stepped_up=True),
    "fail_over": Verb(_show_fail_over, _do_fail_over),
    "restore": Verb(_show_restore, _do_restore),
    "drain": Verb(account_verbs.show_drain, account_verbs.do_drain),
    "reconcile": Verb(account_verbs.show_reconcile, account_verbs.do_reconcile),
    "flatten": Verb(account_verbs.show_flatten, account_verbs.do_flatten, stepped_up=True),
}
