"""One of several processes at a breaker: told an account and a moment, it enters then and says what it was told."""

import sys
import time

from accounts.breaker import Breaker
from accounts.errors import BrokerRests
from accounts.shared import SharedScripts
from kite.limits import CallClass

# What is tried here is the agreement, not the time-out: a busy machine must not make a process decide alone.
PATIENCE = 20.0


def main(url: str) -> None:
    breaker = Breaker(scripts=SharedScripts(url=url, timeout_seconds=PATIENCE))
    for line in sys.stdin:
        account_id, moment = line.split()
        time.sleep(max(float(moment) - time.time(), 0))
        try:
            said = breaker.enter(account_id=account_id, call_class=CallClass.QUOTE).value
        except BrokerRests:
            said = "open"
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
