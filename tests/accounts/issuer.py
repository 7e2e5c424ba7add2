"""A token issuer on a real https address, for tests of its tokens."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NAME = "https://issuer.example"
AUDIENCE = "ticker-site"


@dataclass
class Issuer:
    """Signs tokens with keys it publishes, and counts how often the keys were asked for."""

    url: str
    ca_file: str
    keys: dict[str, Any] = field(default_factory=dict)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: int = 0

    def add(self, key_id: str, key: Any) -> Any:
        """Publish the public half of a key."""
        self.keys[key_id] = key
        return key

    def key_set(self) -> bytes:
        return json.dumps({"keys": [public_entry(key_id, key) for key_id, key in self.keys.items()]}).encode()

    def token(self, subject: str, *, headers: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        """Return a good token, changed by the claims; a claim of None is left out."""
        now = datetime.now(UTC)
        body = {
            "iss": NAME,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + timedelta(minutes=10),
            "jti": uuid4().hex,
            "scope": "accounts:read orders:read",
            **claims,
        }
        signing = key if key is not None else next(iter(self.keys.values()))
        algorithm = "RS256" if isinstance(signing, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(
            {name: value for name, value in body.items() if value is not None},
            signing,
            algorithm=algorithm,
            headers={"kid": next(iter(self.keys)), **(headers or {})},
        )


def public_entry(key_id: str, key: Any) -> dict[str, Any]:
    family = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(family.to_jwk(key.public_key())), "kid": key_id, "use": "sig"}


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@contextmanager
def running(folder: Path) -> Iterator[Issuer]:
    """Serve an issuer's key set over TLS with a certificate of its own."""
    certificate = _certificate(folder)
    issuer = Issuer(url="", ca_file=str(certificate))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            status, headers, body = issuer.answers.pop(0) if issuer.answers else (200, {}, issuer.key_set())
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    issuer.url = f"https://127.0.0.1:{server.server_port}/keys"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "issuer.pem"
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path
