"""The three key providers, each with its service, as the contract needs them."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from accounts.vault.keyfile import KeyFileProvider, new_ring, read_ring, write_ring
from accounts.vault.kms import AwsKmsProvider
from accounts.vault.provider import KeyProvider
from accounts.vault.transit import TransitProvider
from tests.accounts.kms_server import REGION, KmsServer
from tests.accounts.transit_server import TransitServer

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class Keeper(ABC):
    """What the keepers of the keys do, each in their own place."""

    provider: KeyProvider
    adds_keys = True

    @abstractmethod
    def settings(self) -> Mapping[str, object]:
        """Return the settings that choose this provider."""

    @abstractmethod
    def add_key(self) -> None:
        """Make a new writing key and keep the old."""

    @abstractmethod
    def withdraw(self, key_id: str) -> None:
        """Let a key open nothing any more."""

    @abstractmethod
    def break_down(self) -> None:
        """Stop answering."""

    @abstractmethod
    def mend(self) -> None:
        """Answer again."""

    @abstractmethod
    def stop(self) -> None:
        """End what was started."""


class KeyFileKeeper(Keeper):
    """A ring in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "keyring.json"
        write_ring(path=self._path, ring=new_ring(now=NOW, automatic=False), replace_existing=False)
        self.provider = KeyFileProvider(path=self._path)

    def settings(self) -> Mapping[str, object]:
        return {"VAULT_PROVIDER": "keyfile", "VAULT_KEY_FILE": str(self._path)}

    def add_key(self) -> None:
        self.provider.add_key(now=NOW)

    def withdraw(self, key_id: str) -> None:
        ring = read_ring(path=self._path)
        if key_id == ring.writing:
            ring = ring.with_new_key(now=NOW)
        write_ring(path=self._path, ring=ring.without_key(key_id=key_id), replace_existing=True)

    def break_down(self) -> None:
        self._path.rename(self._path.with_suffix(".away"))

    def mend(self) -> None:
        self._path.with_suffix(".away").rename(self._path)

    def stop(self) -> None:
        pass


class KmsKeeper(Keeper):
    """A KMS whose keys a setting names."""

    adds_keys = False

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
        os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
        self.server = KmsServer()
        self._keys = [self.server.make_key()]
        self._configure()

    def settings(self) -> Mapping[str, object]:
        return {
            "VAULT_PROVIDER": "aws_kms",
            "VAULT_KEYS": list(self._keys),
            "VAULT_KMS_REGION": REGION,
            "VAULT_KMS_ENDPOINT": self.server.url,
        }

    def add_key(self) -> None:
        self._keys.insert(0, self.server.make_key())
        self._configure()

    def withdraw(self, key_id: str) -> None:
        self.server.disabled.add(key_id)

    def break_down(self) -> None:
        self.server.fault = (500, "KMSInternalException")

    def mend(self) -> None:
        self.server.fault = None

    def stop(self) -> None:
        self.server.stop()

    def _configure(self) -> None:
        self.provider = AwsKmsProvider(keys=self._keys, region=REGION, endpoint=self.server.url)


class TransitKeeper(Keeper):
    """A transit engine."""

    def __init__(self, folder: Path) -> None:
        self.server = TransitServer()
        self.token_file = folder / "token"
        self.token_file.write_text(self.server.token)
        self.provider = TransitProvider(url=self.server.url, key="ticker", token_file=self.token_file)

    def settings(self) -> Mapping[str, object]:
        return {
            "VAULT_PROVIDER": "transit",
            "VAULT_KEYS": ["ticker"],
            "VAULT_TRANSIT_URL": self.server.url,
            "VAULT_TRANSIT_TOKEN_FILE": str(self.token_file),
        }

    def add_key(self) -> None:
        self.provider.add_key(now=NOW)

    def withdraw(self, key_id: str) -> None:
        version = int(key_id.rpartition(":v")[2])
        if version == len(self.server.keys["ticker"].versions):
            self.provider.add_key(now=NOW)
        self.server.keys["ticker"].min_decryption_version = version + 1

    def break_down(self) -> None:
        self.server.sealed = True

    def mend(self) -> None:
        self.server.sealed = False

    def stop(self) -> None:
        self.server.stop()


KEEPERS: Mapping[str, Callable[[Path], Keeper]] = {
    "keyfile": KeyFileKeeper,
    "aws_kms": KmsKeeper,
    "transit": TransitKeeper,
}
