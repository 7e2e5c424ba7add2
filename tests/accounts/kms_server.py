"""AWS KMS over HTTP: moto's, behind a door that also gives the answers moto does not."""

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

REGION = "ap-south-1"


class KmsServer:
    """Forwards to moto; `disabled` keys and `fault` are answered here, because moto decrypts with a disabled key."""

    def __init__(self) -> None:
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        self._port = self._moto.get_host_and_port()[1]
        self.disabled: set[str] = set()
        self.fault: tuple[int, str] | None = None
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """End both."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._moto.stop()

    def make_key(self) -> str:
        """Return the ARN of a new key."""
        client = boto3.client(
            "kms",
            region_name=REGION,
            endpoint_url=f"http://127.0.0.1:{self._port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        return str(client.create_key()["KeyMetadata"]["Arn"])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        kms = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kms.asked.append(self.headers["X-Amz-Target"])
                status, data = kms.answer(body, dict(self.headers.items()))
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Return the status and the body of one answer."""
        asked: dict[str, Any] = json.loads(body)
        if self.fault is not None:
            status, code = self.fault
            return status, json.dumps({"__type": code, "message": code}).encode()
        if asked.get("KeyId") in self.disabled:
            return 400, json.dumps({"__type": "DisabledException", "message": "the key is disabled"}).encode()
        link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            link.request("POST", "/", body, headers)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()
