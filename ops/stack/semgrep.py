"""Hold the product against deploy/semgrep, offline. Their reader lives apart, because its pins are not ours."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ops.stack.venv import prepare

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/semgrep/rules.yaml"
LOCK = "deploy/semgrep/semgrep.lock"
HOME = ".venv-semgrep"
PRODUCT = (
    "accounts",
    "clients",
    "greeks",
    "kite",
    "market_data",
    "ops",
    "orders",
    "portfolio",
    "sandbox",
    "ticker_site",
    "webhooks",
)
SCAN_SECONDS = 600


def findings(*, folder: Path, targets: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the rules find in the targets below the folder; leave with its words where it cannot read."""
    python = Path(prepare(root=ROOT, lock=LOCK, folder=HOME))
    with tempfile.TemporaryDirectory() as own:
        environment = {
            "PATH": f"{python.parent}{os.pathsep}{os.defpath}",
            "HOME": own,
            "SEMGREP_SEND_METRICS": "off",
            "SEMGREP_ENABLE_VERSION_CHECK": "0",
        }
        words = ["scan", "--config", str(RULES), "--json", "--quiet", "--strict", "--no-git-ignore", "--jobs", "2"]
        done = subprocess.run(
            [str(python.with_name("semgrep")), *words, *targets],
            cwd=folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=SCAN_SECONDS,
        )
    if done.returncode:
        sys.exit(f"semgrep ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return found


def main() -> int:
    """Print what is found; return 1 if there is anything."""
    found = findings(folder=ROOT, targets=PRODUCT)
    for each in found:
        rule = each["check_id"].rpartition(".")[2]
        sys.stdout.write(f"{each['path']}:{each['start']['line']} {rule}: {each['extra']['message']}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
