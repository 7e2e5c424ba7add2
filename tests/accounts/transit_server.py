"""The transit engine of Vault and OpenBao as their HTTP API documents it, with keys that never leave it."""

import base64
import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12


class Answer(Exception):
    """An answer that is not the normal one."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status, *errors)
        self.status = status
        self.errors = list(errors)


@dataclass(slots=True)
class NamedKey:
    """One key with its versions; version 1 is the first."""

    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])
    min_decryption_version: int = 1


class TransitServer:
    """Answers read, encrypt, decrypt, rewrap, rotate and config of `transit/`; `sealed` and `token` can be changed."""

    def __init__(self, *, key: str = "ticker", token: str = "hvs.right") -> None:
        self.keys = {key: NamedKey()}
        self.token = token
        self.sealed = False
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """End it: its port refuses connections afterwards."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        transit = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._answer(json.loads(body) if body else {})

            def do_PUT(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, body: "dict[str, Any] | None") -> None:
                transit.asked.append(self.path)
                try:
                    status, document = 200, transit.answer(self.path, body, self.headers.get("X-Vault-Token", ""))
                except Answer as answer:
                    status, document = answer.status, {"errors": answer.errors}
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler

    def answer(self, path: str, body: "dict[str, Any] | None", token: str) -> dict[str, Any]:
        """Return the document of one request; raises Answer for every other status."""
        if self.sealed:
            raise Answer(503, "Vault is sealed")
        if token != self.token:
            raise Answer(403, "permission denied")
        parts = path.strip("/").split("/")
        if parts[:2] != ["v1", "transit"] or len(parts) < 4:
            raise Answer(404, f"no handler for route {path}")
        verb, name, *rest = parts[2:]
        key = self.keys.get(name)
        if key is None:
            raise Answer(404 if body is None else 400, *([] if body is None else ["encryption key not found"]))
        if verb == "keys":
            return self._keys(name, key, rest, body)
        act = {"encrypt": self._encrypt, "decrypt": self._decrypt, "rewrap": self._rewrap}.get(verb)
        if act is None or body is None:
            raise Answer(405, "unsupported operation")
        return {"data": act(key, body)}

    def _keys(self, name: str, key: NamedKey, rest: list[str], body: "dict[str, Any] | None") -> dict[str, Any]:
        if rest == ["rotate"]:
            key.versions.append(os.urandom(32))
        elif rest == ["config"] and body is not None:
            key.min_decryption_version = int(body["min_decryption_version"])
        described = {
            "name": name,
            "type": "aes256-gcm96",
            "latest_version": len(key.versions),
            "min_decryption_version": key.min_decryption_version,
            "min_encryption_version": 0,
            "deletion_allowed": False,
            "exportable": False,
            "supports_encryption": True,
            "supports_decryption": True,
            "keys": {str(number + 1): 0 for number in range(len(key.versions))},
        }
        return {"data": described}

    def _encrypt(self, key: NamedKey, body: dict[str, Any]) -> dict[str, Any]:
        version = int(body.get("key_version") or len(key.versions))
        if not 1 <= version <= len(key.versions):
            raise Answer(400, "requested version for encryption is higher than the latest key version")
        return self._sealed(key, version, _bytes(body, "plaintext"), _bytes(body, "associated_data"))

    def _decrypt(self, key: NamedKey, body: dict[str, Any]) -> dict[str, Any]:
        return {"plaintext": base64.b64encode(self._opened(key, body)).decode()}

    def _rewrap(self, key: NamedKey, body: dict[str, Any]) -> dict[str, Any]:
        # The engine's own helper takes associated data with batch input alone, as the API documents.
        if "batch_input" not in body:
            return self._sealed(key, len(key.versions), self._opened(key, {**body, "associated_data": ""}), b"")
        rows = [
            self._sealed(key, len(key.versions), self._opened(key, row), _bytes(row, "associated_data"))
            for row in body["batch_input"]
        ]
        return {"batch_results": rows}

    def _sealed(self, key: NamedKey, version: int, plaintext: bytes, bound: bytes) -> dict[str, Any]:
        nonce = os.urandom(NONCE)
        sealed = nonce + AESGCM(key.versions[version - 1]).encrypt(nonce, plaintext, bound)
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(sealed).decode()}", "key_version": version}

    def _opened(self, key: NamedKey, body: dict[str, Any]) -> bytes:
        prefix, version, sealed = [*str(body.get("ciphertext", "")).split(":"), "", ""][:3]
        if prefix != "vault" or not version.startswith("v") or not version[1:].isdecimal():
            raise Answer(400, "invalid ciphertext: no prefix")
        number = int(version[1:])
        if number > len(key.versions):
            raise Answer(400, "invalid ciphertext: version is too new")
        if number < key.min_decryption_version:
            raise Answer(400, "ciphertext or signature version is disallowed by policy (too old)")
        try:
            raw = base64.b64decode(sealed, validate=True)
            return AESGCM(key.versions[number - 1]).decrypt(raw[:NONCE], raw[NONCE:], _bytes(body, "associated_data"))
        except (InvalidTag, ValueError):
            raise Answer(400, "cipher: message authentication failed") from None


def _bytes(body: dict[str, Any], name: str) -> bytes:
    return base64.b64decode(body.get(name) or "")
