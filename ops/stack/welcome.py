"""The screen that greets whoever started the platform."""

import shlex
import sys
from collections.abc import Mapping

from ops.stack.installation import Bootstrap

ORDER = (
    '{"account":"ACCOUNT","exchange":"NSE","tradingsymbol":"INFY","transaction_type":"BUY","quantity":1,'
    '"product":"CNC","order_type":"MARKET","market_protection":-1}'
)
STREAM = (
    # A `with` does not fit behind a semicolon, and a pasted line should stay one line.
    'from websockets.sync.client import connect; socket = connect("SOCKET", '
    'additional_headers={"Authorization": "Bearer API_KEY"}).__enter__(); '
    'socket.send("""{"op":"sub","id":1,"mode":"quote","symbols":["NSE:INFY"]}"""); '
    "[print(message, flush=True) for message in socket]"
)


def welcome(*, environment: Mapping[str, str], bootstrap: Bootstrap, sandboxed: bool) -> str:
    """Return the screen: where the panel is, how to sign in, and a first order and a first stream to paste."""
    url = environment["PUBLIC_URL"]
    client = STREAM.replace("API_KEY", bootstrap.api_key).replace("SOCKET", f"ws{url.removeprefix('http')}/ws/v1/ticks")
    return f"""
  Panel      {url}/admin/desk/
  Sign in    {bootstrap.admin_user} / {environment["ADMIN_PASSWORD"]}
             The first sign-in shows a picture for an authenticator app. Without one, a code for one sign-in:
             {shlex.quote(sys.executable)} manage.py one_time_code {bootstrap.admin_user} --reason "no app"
  API key    {bootstrap.api_key}

  {"A first order" if sandboxed else "A first order, in the real market and for real money"}:

curl -sS {url}/api/v1/orders -H 'Authorization: Bearer {bootstrap.api_key}' -H "Idempotency-Key: $(date +%s%N)" \\
  -H 'Content-Type: application/json' -d '{ORDER.replace("ACCOUNT", bootstrap.account or "YOUR-ACCOUNT")}'

  A first stream:

{shlex.quote(sys.executable)} -c '{client}'
"""
