"""The browser's client module: what it does without a socket, in node."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "market_data" / "static" / "market_data" / "ticker-client.js"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def evaluate(script: str) -> object:
    """Return the JSON of a script's `answer`."""
    text = (
        f'import {{ readFileSync }} from "node:fs";\n'
        f'const source = readFileSync({json.dumps(str(MODULE))}, "utf8");\n'
        "const { Positions, rowsOf, delayOf } = await import(\n"
        '  "data:text/javascript," + encodeURIComponent(source));\n'
        f"{script}\nconsole.log(JSON.stringify(answer));"
    )
    done = subprocess.run(
        [NODE or "node", "--input-type=module", "-e", text], capture_output=True, text=True, timeout=20, check=True
    )
    return json.loads(done.stdout)


def test_rows_get_the_names_the_server_sent() -> None:
    answer = evaluate('const answer = rowsOf({ m: "ltp", d: [[7, 1.5]] }, { ltp: ["instrument_token", "price"] });')

    assert answer == [{"instrument_token": 7, "price": 1.5}]


def test_a_frame_that_does_not_follow_is_noticed() -> None:
    answer = evaluate(
        """
        const positions = new Positions();
        const frame = (t, from, to, epoch = 1) => ({ t, m: "ltp", s: [0, epoch, from, to] });
        const answer = [
          positions.take(frame("snap", 0, 5)), positions.take(frame("d", 5, 6)), positions.take(frame("d", 8, 9)),
          positions.take(frame("d", 0, 1, 2)),
        ];
        """
    )

    assert answer == [True, True, False, True]


def test_a_snapshot_of_more_instruments_does_not_move_the_position() -> None:
    answer = evaluate(
        """
        const positions = new Positions();
        positions.take({ t: "snap", m: "ltp", s: [0, 1, 0, 5] });
        positions.take({ t: "snap", m: "ltp", s: [0, 1, 0, 9] });
        const answer = positions.since("ltp");
        """
    )

    assert answer == [[0, 1, 5]]


def test_a_resume_claims_the_oldest_position_of_a_shard() -> None:
    answer = evaluate(
        """
        const positions = new Positions();
        positions.take({ t: "snap", m: "ltp", s: [0, 1, 0, 9] });
        positions.take({ t: "snap", m: "full", s: [0, 1, 0, 5] });
        const answer = positions.oldest();
        """
    )

    assert answer == [[0, 1, 5]]


def test_waits_grow_to_a_bound() -> None:
    answer = evaluate("const answer = [delayOf(0, () => 0), delayOf(0, () => 1), delayOf(50, () => 1)];")

    assert answer == [250, 500, 15000]
