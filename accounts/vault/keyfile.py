"""The default key provider: a ring of keys in one file that only its owner may read."""

import base64
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accounts.errors import KeyRingError, SealBroken
from accounts.vault.envelope import NONCE_BYTES, associated_data

KEY_BYTES = 32
OWNER_ONLY = 0o600
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every key that can still open values, and the one that seals new ones."""

    keys: Mapping[str, bytes] = field(repr=False)
    writing: str
    automatic: bool

    def with_new_key(self, *, now: datetime) -> "KeyRing":
        """Return a ring that seals with a fresh key and still opens with the old ones."""
        key_id = new_key_id(now=now)
        return replace(self, keys={**self.keys, key_id: os.urandom(KEY_BYTES)}, writing=key_id)

    def without_key(self, *, key_id: str) -> "KeyRing":
        """Return a ring that cannot open what `key_id` sealed."""
        if key_id == self.writing:
            raise KeyRingError(f"{key_id} is the writing key")
        return replace(self, keys={name: key for name, key in self.keys.items() if name != key_id})


class KeyFileProvider:
    """Wraps data keys with AES-256-GCM under the keys of a ring file.

    The file is looked at on every use, so that a changed ring is adopted by running processes and a loosened mode is
    refused by them.
    """

    def __init__(self, *, path: Path, refuse_automatic: bool = False) -> None:
        self._path = path
        self._refuse_automatic = refuse_automatic

    def writing_key_id(self) -> str:
        """Return the id of the key that new wrappings use."""
        return self.ring().writing

    def key_ids(self) -> list[str]:
        """Return the ids of every key of the ring, oldest first."""
        return sorted(self.ring().keys)

    def add_key(self, *, now: datetime) -> str:
        """Write a ring that seals with a new key and still opens with the old ones."""
        ring = self.ring().with_new_key(now=now)
        write_ring(path=self._path, ring=ring, replace_existing=True)
        return ring.writing

    def drop_key(self, *, key_id: str) -> None:
        """Write a ring without this key."""
        write_ring(path=self._path, ring=self.ring().without_key(key_id=key_id), replace_existing=True)

    def wrap(self, *, data_key: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return `data_key` wrapped under `key_id`."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._key(key_id)).encrypt(nonce, data_key, associated_data(context))

    def unwrap(self, *, wrapped: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return the data key; raises SealBroken where key or context is another one."""
        nonce, ciphertext = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return AESGCM(self._key(key_id)).decrypt(nonce, ciphertext, associated_data(context))
        except (InvalidTag, ValueError) as error:
            raise SealBroken(f"a data key wrapped by {key_id} does not open for this row") from error

    def ring(self) -> KeyRing:
        """Return the ring as the file is now; raises KeyRingError."""
        ring = read_ring(path=self._path)
        if ring.automatic and self._refuse_automatic:
            raise KeyRingError(
                f"{self._path} was made automatically, which production refuses: run manage.py init_keyring by hand"
            )
        return ring

    def _key(self, key_id: str) -> bytes:
        key = self.ring().keys.get(key_id)
        if key is None:
            raise SealBroken(f"the key ring has no key {key_id}")
        return key


def new_key_id(*, now: datetime) -> str:
    """Return an id that sorts by age."""
    return f"{now:%Y%m%d}-{os.urandom(3).hex()}"


def new_ring(*, now: datetime, automatic: bool) -> KeyRing:
    """Return a ring of one fresh key."""
    key_id = new_key_id(now=now)
    return KeyRing(keys={key_id: os.urandom(KEY_BYTES)}, writing=key_id, automatic=automatic)


def read_ring(*, path: Path) -> KeyRing:
    """Return the ring in `path`; refuses a file that is missing, damaged, of another owner or open to others."""
    try:
        seen = path.stat(follow_symlinks=False)
    except OSError as error:
        raise KeyRingError(f"no key ring at {path}: run manage.py init_keyring") from error
    if not stat.S_ISREG(seen.st_mode):
        raise KeyRingError(f"{path} is not a plain file")
    if seen.st_uid != os.geteuid():
        raise KeyRingError(f"{path} belongs to user {seen.st_uid}, this process is user {os.geteuid()}")
    if seen.st_mode & OTHERS:
        raise KeyRingError(f"{path} has mode {stat.S_IMODE(seen.st_mode):04o}, which others can use: chmod 600 it")
    return _parse(path, seen.st_mtime_ns, seen.st_ino)


def write_ring(*, path: Path, ring: KeyRing, replace_existing: bool) -> None:
    """Write the ring in one step, readable by its owner alone."""
    document = {
        "writing": ring.writing,
        "automatic": ring.automatic,
        "keys": {key_id: base64.b64encode(key).decode() for key_id, key in ring.keys.items()},
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".ring-")
    draft = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(OWNER_ONLY)
        _put(draft, path, replace_existing=replace_existing)
    finally:
        draft.unlink(missing_ok=True)


def _put(draft: Path, path: Path, *, replace_existing: bool) -> None:
    if replace_existing:
        draft.replace(path)
        return
    try:
        # Unlike a rename, a link refuses to overwrite a ring that another process has just made.
        path.hardlink_to(draft)
    except FileExistsError as error:
        raise KeyRingError(f"{path} exists: its keys open the stored secrets, so it is not overwritten") from error


@lru_cache(maxsize=2)
def _parse(path: Path, modified: int, inode: int) -> KeyRing:
    del modified, inode  # they are the cache's key
    try:
        document = json.loads(path.read_text())
        keys = {key_id: base64.b64decode(key, validate=True) for key_id, key in document["keys"].items()}
        ring = KeyRing(keys=keys, writing=document["writing"], automatic=document["automatic"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeyRingError(f"{path} is not a key ring") from error
    if ring.writing not in keys or any(len(key) != KEY_BYTES for key in keys.values()):
        raise KeyRingError(f"{path} is damaged: its writing key is absent or a key is not {KEY_BYTES} bytes")
    return ring
