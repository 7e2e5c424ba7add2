"""What must have happened at the exchange before every mock file can be asked for: orders, triggers, alerts, funds."""

import hashlib
import json
from collections.abc import Callable
from string import Template
from typing import Any

import requests

from tests.sandbox.conftest import connect
from tests.sandbox.mock_table import ALERT, GTT, ORDER, SIP, Request
from tests.sandbox.orders import below, option_near, place, wait_status
from tests.sandbox_server import SandboxServer, wait_for

PATIENCE = 20.0


class Story:
    """Accounts with something of everything; `names` are the ids that requests speak of."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.kites = [connect(server, user) for user in (0, 1)]
        self.names: dict[str, str] = {"low": str(below(server, "NSE:INFY"))}
        server.settings(mutual_fund_orders=True)
        for chapter in (self._session, self._triggers, self._alerts, self._orders, self._funds):
            chapter()

    def ask(self, request: Request) -> requests.Response:
        """Send a request, its names filled in."""
        method, path = self.fill(request.text).split(" ", 1)
        form = {name: self.fill(value) for name, value in request.form.items()}
        headers = {"Accept-Encoding": "identity"}
        if request.user >= 0:
            headers |= self.server.headers(request.user, self.kites[request.user].access_token)
        body: dict[str, Any] = {"json": request.json} if request.json is not None else {"data": form or None}
        return requests.request(method, self.server.rest_root + path, headers=headers, timeout=20, **body)

    def fill(self, text: str) -> str:
        return Template(text).substitute(self.names)

    def _data(self, text: str, form: dict[str, str] | None = None) -> Any:
        answer = self.ask(Request(text, form or {}))
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def _session(self) -> None:
        new, leaving = self.server.users[2], self.server.users[1]
        request_token = self.server.login(new)
        checksum = hashlib.sha256(f"{new.api_key}{request_token}{new.api_secret}".encode()).hexdigest()
        self.names |= {"new_key": new.api_key, "request_token": request_token, "checksum": checksum}
        self.names |= {"leaving_key": leaving.api_key, "leaving_token": self.kites[1].access_token}

    def _triggers(self) -> None:
        last = self.server.book("NSE:INFY")["last_price"]
        leg = {**ORDER, "price": float(self.names["low"]), "quantity": 1}
        condition = {"exchange": "NSE", "tradingsymbol": "INFY", "trigger_values": [leg["price"]], "last_price": last}
        self.names |= {"gtt_condition": json.dumps(condition), "gtt_orders": json.dumps([leg])}
        self.names["gtt"] = str(self._data("POST /gtt/triggers", GTT)["trigger_id"])
        self.names["doomed_gtt"] = str(self._data("POST /gtt/triggers", GTT)["trigger_id"])

    def _alerts(self) -> None:
        params = {
            "validity": "DAY", "variety": "regular", "product": "CNC", "order_type": "LIMIT",
            "transaction_type": "BUY", "quantity": 1, "price": float(self.names["low"]),
        }  # fmt: skip
        item = {"exchange": "NSE", "tradingsymbol": "INFY", "params": params}
        self.names["basket"] = json.dumps({"items": [item]})
        self.names["alert"] = self._data("POST /alerts", ALERT)["uuid"]
        self.names["doomed_alert"] = self._data("POST /alerts", ALERT)["uuid"]
        fires = {**ALERT, "type": "ato", "rhs_constant": "1", "basket": "$basket"}
        self.names["fired"] = self._data("POST /alerts", fires)["uuid"]
        wait_for(lambda: self._data("GET /alerts/$fired/history"), seconds=PATIENCE)

    def _orders(self) -> None:
        kite = self.kites[0]
        self.names["filled"] = place(kite, order_type="MARKET", market_protection=-1)
        intraday = place(kite, order_type="MARKET", market_protection=-1, product="MIS")
        self.names["resting"] = place(kite, price=float(self.names["low"]), tag="story")
        self.names["doomed"] = place(kite, price=float(self.names["low"]))
        option = option_near(kite)
        self.names |= {"option": option["tradingsymbol"], "slices": str(option["lot_size"] * 40)}
        for name, status in (("filled", "COMPLETE"), ("resting", "OPEN"), ("doomed", "OPEN")):
            wait_status(kite, self.names[name], status, seconds=PATIENCE)
        wait_status(kite, intraday, "COMPLETE", seconds=PATIENCE)

    def _funds(self) -> None:
        lines = requests.get(f"{self.server.rest_root}/mf/instruments", timeout=20).text.splitlines()
        self.names["fund"] = lines[1].split(",")[0]
        order = {"tradingsymbol": "$fund", "transaction_type": "BUY", "amount": "5000"}
        makers: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("fund_order", lambda: self._data("POST /mf/orders", order)["order_id"]),
            ("sip", lambda: self._data("POST /mf/sips", SIP)["sip_id"]),
        )
        for name, make in makers:
            self.names |= {name: str(make()), f"doomed_{name}": str(make())}
