"""A server that answers with the address it is asked from, and a proxy that has an address of its own."""

import http.client
import json
import select
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Server:
    """Serves a handler in a thread."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """End it: its port refuses connections afterwards."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class EchoServer(Server):
    """Echoes addresses; `status`, `as_json` and `says` change its answers."""

    def __init__(self) -> None:
        self.status = 200
        self.as_json = False
        self.says: str | None = None
        self.asked = 0
        self.seen: list[str] = []
        echo = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                echo.asked += 1
                echo.seen.append(str(self.headers))
                address = echo.says if echo.says is not None else self.client_address[0]
                body = json.dumps({"ip": address}) if echo.as_json else f"{address}\n"
                self.send_response(echo.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)


class ProxyServer(Server):
    """Forwards plain requests and tunnels, leaving from 127.0.0.9; `refuses` tunnels when told."""

    ADDRESS = "127.0.0.9"

    def __init__(self) -> None:
        self.carried: list[str] = []
        self.refuses = False
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.forward()

            def do_POST(self) -> None:
                self.forward()

            def do_CONNECT(self) -> None:
                proxy.carried.append(f"CONNECT {self.path}")
                if proxy.refuses:
                    self.send_error(403)
                else:
                    _tunnel(self)

            def forward(self) -> None:
                proxy.carried.append(f"{self.command} {self.path}")
                if proxy.refuses:
                    self.send_error(403)
                else:
                    _forward(self)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)


def _forward(handler: BaseHTTPRequestHandler) -> None:
    parts = urlsplit(handler.path)
    body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    link = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=10, source_address=(ProxyServer.ADDRESS, 0)
    )
    link.request(handler.command, parts.path, body, dict(handler.headers.items()))
    answer = link.getresponse()
    data = answer.read()
    handler.send_response(answer.status)
    for name, value in answer.getheaders():
        if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
            handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
    link.close()


def _tunnel(handler: BaseHTTPRequestHandler) -> None:
    host, port = handler.path.rsplit(":", 1)
    with socket.create_connection((host, int(port)), source_address=(ProxyServer.ADDRESS, 0)) as far:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.flush()
        _pump(handler.connection, far)


def _pump(near: socket.socket, far: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([near, far], [], [], 10)
        if not ready:
            return
        for source in ready:
            data = source.recv(65_536)
            if not data:
                return
            (far if source is near else near).sendall(data)
