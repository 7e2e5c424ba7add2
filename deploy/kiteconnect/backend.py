"""Repack the official kiteconnect wheel with its autobahn pin relaxed; nothing else in it changes.

kiteconnect 5.2.2 asks for autobahn 19.11.2 exactly, and Daphne for 22.4.2 or later, so no installer can have both. The
client works unchanged on today's autobahn. pip and uv call the two functions below when they install this folder.
"""

import base64
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

VERSION = "5.2.2"
LOCAL_VERSION = f"{VERSION}+relaxed.1"
OFFICIAL_SHA256 = "16adcd62b0a3f364c9b68f5941acbb1ed2354be4d116517eb2572a64569f3fc6"
OFFICIAL_NAME = f"kiteconnect-{VERSION}-py3-none-any.whl"
OLD_PIN = "Requires-Dist: autobahn[twisted]==19.11.2"
NEW_PIN = "Requires-Dist: autobahn[twisted]>=22.4.2"


class WrongWheel(RuntimeError):
    """The downloaded wheel is not the one this folder was written for."""


def build_wheel(
    wheel_directory: str,
    config_settings: Mapping[str, object] | None = None,  # noqa: ARG001 (PEP 517 names them)
    metadata_directory: str | None = None,  # noqa: ARG001
) -> str:
    """Write the repacked wheel and return its name (PEP 517)."""
    name = f"kiteconnect-{LOCAL_VERSION}-py3-none-any.whl"
    (Path(wheel_directory) / name).write_bytes(repacked(official_wheel()))
    return name


def build_sdist(sdist_directory: str, config_settings: Mapping[str, object] | None = None) -> str:  # noqa: ARG001
    """Refuse: this folder holds no source to distribute (PEP 517)."""
    raise NotImplementedError("install this folder directly")


def official_wheel() -> bytes:
    """Return the official wheel, fetched by pip (with its mirrors and proxies) and checked against its published hash."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(f"kiteconnect=={VERSION} --hash=sha256:{OFFICIAL_SHA256}\n")
        options = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--disable-pip-version-check", "--quiet")
        command = (sys.executable, "-m", "pip", "download", *options, "--dest", folder, "--requirement", str(wanted))
        subprocess.run(command, check=True, stdout=sys.stderr)
        wheel = (Path(folder) / OFFICIAL_NAME).read_bytes()
    found = hashlib.sha256(wheel).hexdigest()
    if found != OFFICIAL_SHA256:
        raise WrongWheel(f"sha256 of {OFFICIAL_NAME} was {found}, not {OFFICIAL_SHA256}")
    return wheel


def repacked(wheel: bytes) -> bytes:
    """Return `wheel` under the local version, with the autobahn pin relaxed and a new RECORD."""
    target = io.BytesIO()
    record: list[str] = []
    with zipfile.ZipFile(io.BytesIO(wheel)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for entry in source.infolist():
            name = entry.filename.replace(f"kiteconnect-{VERSION}.dist-info", f"kiteconnect-{LOCAL_VERSION}.dist-info")
            if name.endswith(("/RECORD", "/")):
                continue
            content = source.read(entry)
            if name.endswith(".dist-info/METADATA"):
                content = _relaxed(content)
            copy.writestr(zipfile.ZipInfo(name, entry.date_time), content, zipfile.ZIP_DEFLATED)
            record.append(_record_line(name, content))
        record_name = f"kiteconnect-{LOCAL_VERSION}.dist-info/RECORD"
        record.append(f"{record_name},,")
        copy.writestr(record_name, "\n".join(record) + "\n")
    return target.getvalue()


def _relaxed(metadata: bytes) -> bytes:
    text = metadata.decode()
    if text.count(OLD_PIN) != 1 or text.count(f"\nVersion: {VERSION}\n") != 1:
        raise WrongWheel(f"the metadata of {OFFICIAL_NAME} was not as expected")
    text = text.replace(OLD_PIN, NEW_PIN).replace(f"\nVersion: {VERSION}\n", f"\nVersion: {LOCAL_VERSION}\n")
    return text.encode()


def _record_line(name: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}"
