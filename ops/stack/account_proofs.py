"""The requirements about accounts, secrets and failover that `manage.py prove` proves."""

from ops.stack.proofs import Proof, at_least, at_most, exactly

ACCOUNTS = (
    Proof(
        id="R15",
        sentence="Of eight processes exactly one probes a broker that did not answer, with Redis or without a wait.",
        tests=("tests/accounts/test_breaker.py",),
        bounds=(
            exactly("trials", 50),
            exactly("trials with another number of probes", 0),
            at_most("added seconds", 0.15),
        ),
    ),
    Proof(
        id="R19",
        sentence="Secrets open in their own place alone, under three providers, and keys are rotated online.",
        tests=(
            "tests/accounts/test_vault.py",
            "tests/accounts/test_vault_contract.py",
            "tests/accounts/test_resealing.py",
        ),
        bounds=(at_most("seconds for 1,000 rows", 60), exactly("unreadable after kill -9", 0)),
    ),
    Proof(
        id="R20",
        sentence="No secret is found in logs, database, Redis, its traffic, or any answer; a planted one is.",
        tests=("tests/journeys/test_no_secret_leaks.py",),
        bounds=(exactly("leaks", 0), at_least("secrets looked for", 20), exactly("planted and found", 7)),
        not_covered=("the history of the repository",),
    ),
    Proof(
        id="R25",
        sentence="The audit trail shows every edit, deletion and cut, a million entries within a minute.",
        tests=("tests/accounts/test_audit.py",),
        long_bounds=(at_most("seconds for a million entries", 60),),
    ),
    Proof(
        id="R28R",
        sentence="No subscription is lost with an account, a socket or a token, at 3,000 instruments.",
        tests=("tests/market_data/test_failover_campaign.py",),
        bounds=(exactly("subscriptions lost", 0), exactly("seconds until it recovers", 60), at_least("losses", 6)),
        long_bounds=(at_least("losses", 106), at_most("deaf p95 in seconds", 3), at_most("deaf p99 in seconds", 5)),
    ),
)
