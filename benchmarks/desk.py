"""What an open Desk costs the server and the browser: 50 accounts, 20 reports a second.

    python -m benchmarks.desk [--seconds 30]

Starts a whole platform with the sandbox, adds accounts up to fifty, and writes twenty reports of their sockets a
second. Says the web process's CPU time with no Desk, with one in the system's Chromium, and with ten more sockets;
and the frames a second the browser draws meanwhile.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from websockets.sync.client import connect

from tests.journeys.hands import Person, chromium, newcomer
from tests.journeys.platform import ROOT, Platform, own_environment, start_platform

ACCOUNTS = 50
REPORTS_A_SECOND = 20
MORE_DESKS = 10
ADD = """
from accounts.models import BrokerAccount
for number in range(4, 51):
    BrokerAccount.objects.get_or_create(label=f"bench{number:03}", broker_user_id=f"BEN{number:03}")
"""
REPORT = f"""
import random, time
from accounts.models import BrokerAccount
from market_data.bus import sync_bus
keys = [str(key) for key in BrokerAccount.objects.filter(label__startswith="bench").values_list("pk", flat=True)]
while True:
    parts = [
        {{
            "account_id": key,
            "connections": [{{"phase": "open", "cause": ""}}],
            "tokens": 2000,
            "last_tick_age": random.random(),
            "ticks_per_second": random.random() * 900,
            "lag_ms": {{"p50": random.random() * 5, "p99": random.random() * 50}},
        }}
        for key in keys
    ]
    report = {{"shard": 9, "at": time.time(), "wanted": 0, "accounts": parts, "counts": {{}}}}
    sync_bus().put_health(name="feed:bench", report=report)
    time.sleep(1 / {REPORTS_A_SECOND})
"""
FRAMES = """seconds => new Promise(done => {
  let frames = 0, worst = 0, last = performance.now();
  const began = last;
  const step = at => {
    frames += 1; worst = Math.max(worst, at - last); last = at;
    if (at - began < seconds * 1000) requestAnimationFrame(step);
    else done([frames / ((at - began) / 1000), worst]);
  };
  requestAnimationFrame(step);
})"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each part is measured")
    seconds = parser.parse_args().seconds
    executable = shutil.which("chromium") or sys.exit("no Chromium here: apt-get install chromium")
    folder = Path(tempfile.mkdtemp(prefix="ticker-desk-"))
    platform = start_platform(folder=folder, environment=own_environment())
    try:
        _run(platform, "shell", "--no-imports", "-c", ADD).wait(60)
        with _reports(platform), chromium(executable) as browser:
            measure(platform, browser_seconds=seconds, person=newcomer(platform, browser, name="asha"))
    finally:
        platform.stop()
        shutil.rmtree(folder, ignore_errors=True)


def measure(platform: Platform, *, browser_seconds: float, person: Person) -> None:
    """Print the web process's CPU share without a Desk, with one, and with more, and the browser's frames."""
    web = _web_process(platform.process.pid)
    idle = _share(web, browser_seconds)
    print(f"no Desk: {idle:.1%} of a core")
    person.sign_in()
    person.page.wait_for_selector("tr[data-key=bench050]")
    found: list[float] = []
    watch = threading.Thread(target=lambda: found.append(_share(web, browser_seconds)))
    watch.start()
    frames, worst = person.page.evaluate(FRAMES, browser_seconds)
    watch.join()
    print(
        f"one Desk: {found[0]:.1%} of a core; "
        f"the browser drew {frames:.1f} frames a second, the slowest took {worst:.0f} ms"
    )
    key = platform.new_key("ops:read")
    with ExitStack() as stack:
        for _ in range(MORE_DESKS):
            stack.enter_context(_listening(platform, key))
        many = _share(web, browser_seconds)
    print(f"{MORE_DESKS + 1} Desks: {many:.1%} of a core, {(many - found[0]) / MORE_DESKS:.2%} for each further one")
    print(f"load of the machine {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")


def _share(pid: int, seconds: float) -> float:
    before, began = _cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (_cpu_seconds(pid) - before) / (time.monotonic() - began)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _web_process(supervisor: int) -> int:
    """Return the child that serves: the supervisor starts it under its own program."""
    found = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(supervisor)], capture_output=True, text=True, check=True
    )
    lines = [line for line in found.stdout.splitlines() if re.search(r"ops\.stack\.serve|uvicorn", line)]
    return int(lines[0].split()[0])


def _run(platform: Platform, *words: str) -> subprocess.Popen[bytes]:
    environment = {**own_environment(), "TICKER_DATA_DIR": str(platform.folder)}
    return subprocess.Popen([sys.executable, "manage.py", *words], cwd=ROOT, env=environment)


@contextmanager
def _reports(platform: Platform) -> Iterator[None]:
    writer = _run(platform, "shell", "--no-imports", "-c", REPORT)
    try:
        yield
    finally:
        writer.terminate()
        writer.wait()


@contextmanager
def _listening(platform: Platform, key: str) -> Iterator[None]:
    address = f"ws{platform.url.removeprefix('http')}/ws/v1/desk"
    with connect(address, additional_headers={"Authorization": f"Bearer {key}"}, max_size=None) as socket:
        reader = threading.Thread(target=lambda: [None for _ in socket], daemon=True)
        reader.start()
        yield


if __name__ == "__main__":
    main()
