"""The requirements that `manage.py prove` proves. Another area adds a tuple of its own to PROOFS."""

from ops.stack.account_proofs import ACCOUNTS
from ops.stack.proofs import Proof, at_least, at_most, exactly

NOTHING_WRONG = tuple(exactly(kind, 0) for kind in ("duplicate", "lost", "phantom", "stuck"))

ORDERS = (
    Proof(
        id="R01",
        sentence="No duplicate, lost, phantom or stuck order under crashes and wire faults.",
        tests=("tests/orders/test_crashes.py",),
        bounds=(*NOTHING_WRONG, at_least("cells", 168), exactly("crash points", 14), exactly("wire faults", 12)),
        long_bounds=(at_least("cells", 168 * 25),),
    ),
    Proof(
        id="R02",
        sentence="The same in deterministic simulation, and a seed replays to the letter.",
        tests=("tests/orders/test_simulation.py",),
        bounds=(
            *NOTHING_WRONG,
            *(exactly("untrue", 0), exactly("unannounced", 0)),
            *(at_least("replayed", 5), at_least("seeds", 5000)),
        ),
        seeds=5000,
        long_bounds=(at_least("seeds", 200_000),),
        not_covered=(
            "5,000 seeds in ./test, which takes 300: it is the real code on a real PostgreSQL",
            "actors interleave at their calls and looks at the clock, not inside a transaction",
        ),
    ),
    Proof(
        id="R03",
        sentence="The harness has teeth: planted bugs are caught.",
        tests=("tests/orders/test_simulation.py", "tests/orders/test_crashes.py"),
        bounds=(
            at_least("planted bugs", 12),
            at_most("seeds until retry on any error", 5),
            at_most("seeds until reject after 30 s", 20),
        ),
    ),
    Proof(
        id="R04",
        sentence="Unknown outcomes are resolved by evidence alone, after every lag from 0 to 600 s.",
        tests=("tests/orders/test_doubt.py",),
        bounds=(
            at_least("lags", 15),
            exactly("given up before 180 s", 0),
            exactly("not adopted", 0),
            exactly("sent twice", 0),
            at_most("seconds from visible to known", 15),
        ),
    ),
    Proof(
        id="R05",
        sentence="The API is idempotent: one intent for each key, whatever the storm.",
        tests=("tests/orders/test_intake.py",),
        bounds=(exactly("intents too many", 0), exactly("mismatches let in", 0)),
        long_bounds=(at_least("keys", 200),),
    ),
    Proof(
        id="R06",
        sentence="Duplicate delivery of messages is harmless.",
        tests=("tests/orders/test_worker.py",),
        bounds=(exactly("extra sends", 0),),
    ),
    Proof(
        id="R07",
        sentence="The loss of Redis is harmless to orders.",
        tests=("tests/orders/test_sweeper.py",),
        bounds=(exactly("orders lost with Redis", 0), at_most("pick-up seconds", 5)),
        long_bounds=(at_least("losses of Redis", 30),),
        not_covered=("a Redis that stalls: tests/accounts and tests/market_data bound what each call then costs",),
    ),
    Proof(
        id="R08",
        sentence="The crash of PostgreSQL and the failover to a standby lose no order and send none twice.",
        tests=("tests/orders/test_postgres_loss.py",),
        bounds=(
            *(exactly(kind, 0) for kind in ("intents lost", "orders not adopted", "sent twice", "phantoms", "stuck")),
            at_least("kills", 2),
            at_least("promotions", 1),
            at_least("orphans adopted", 3),
        ),
        long_bounds=(
            at_least("kills", 100),
            at_least("promotions", 20),
            at_most("seconds until orders are taken in again", 10),
        ),
    ),
    Proof(
        id="R09",
        sentence="The classification of answers is exact; what is not listed is UNKNOWN.",
        tests=("tests/orders/test_wire.py",),
        bounds=(at_least("answers", 40), exactly("wrong verdicts", 0)),
    ),
    Proof(
        id="R10",
        sentence="Fills and updates converge, however they arrive.",
        tests=("tests/orders/test_reconciliation.py",),
        bounds=(exactly("books not reached", 0),),
        long_bounds=(at_least("histories", 20_000),),
    ),
    Proof(
        id="R11",
        sentence="After a start or a silence the books are read before anything is sent.",
        tests=("tests/orders/test_hearing.py",),
        bounds=(exactly("sent before the book", 0), exactly("sent again", 0), at_most("seconds for 500 orders", 10)),
    ),
    Proof(
        id="R12",
        sentence="The order rate never exceeds the broker's.",
        tests=("tests/orders/test_rate.py", "tests/orders/test_budget.py"),
        bounds=(at_most("orders in a calendar second", 10), exactly("429s", 0)),
        not_covered=("sixty minutes and four hosts: python -m benchmarks.orders --seconds 3600 measures the rate",),
    ),
    Proof(
        id="R13",
        sentence="One account's queue keeps nobody waiting, and a cancellation passes it.",
        tests=("tests/orders/test_fairness.py",),
        bounds=(at_least("noisy orders still waiting", 1),),
        long_bounds=(at_least("share of the solo rate", 0.95), at_most("cancel seconds", 0.5)),
        not_covered=("fairness between the strategies of one account: its orders leave in the order they came",),
    ),
    Proof(
        id="R14",
        sentence="Never two accounts for one intent: no writer can move an order.",
        tests=("tests/orders/test_doubt.py",),
        bounds=(exactly("moved orders", 0), at_least("attempts to move", 200)),
        long_bounds=(at_least("attempts to move", 10_000),),
    ),
    Proof(
        id="R16",
        sentence="Pre-trade risk is complete, and a race on a limit admits the limit.",
        tests=("tests/orders/test_risk.py",),
        bounds=(exactly("admitted of 64 at a limit of 10", 10),),
    ),
    Proof(
        id="R17",
        sentence="The kill switch holds within a second, with Redis dead, and two people release it.",
        tests=("tests/orders/test_kill_switch.py",),
        bounds=(at_most("engage p99 in seconds", 1), exactly("sent after the commit", 0)),
        long_bounds=(at_least("engagements", 200),),
    ),
    Proof(
        id="R18",
        sentence="The regulator's fields are checked before anything leaves.",
        tests=("tests/orders/test_risk.py",),
        not_covered=("the age of the freeze file, and five years of retention: no row of an order is ever deleted",),
    ),
)
PROOFS = (*ORDERS, *ACCOUNTS)
