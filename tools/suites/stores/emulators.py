"""Emulators of object stores: processes on loopback, each with the settings of a gateway that uses it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.certificates import Certificates
from lib.environment import STORE
from lib.gateway import HOST, NotServing, free_port

START_SECONDS = 60
POLL_SECONDS = 0.1
BUCKET, PREFIX = "models", "live"
AZURITE = STORE.folder / "node" / "node_modules" / ".bin" / "azurite-blob"
# The account of every Azurite, whose key is in its documentation.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
KEY_ID, KEY = "suite", "a secret of the suite"


class Emulator:
    """A store in a process of its own, with one bucket."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True)
        self.endpoint = f"http://{HOST}:{self.port}"
        self.prepare()
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=folder, stdout=log, stderr=log)
        self.wait_until_it_listens()
        self.create()

    def prepare(self) -> None:
        """Makes what the process needs."""

    def command(self) -> Sequence[str | Path]:
        raise NotImplementedError

    def create(self) -> None:
        """Creates the bucket."""

    def put(self, name: str, content: bytes) -> None:
        raise NotImplementedError

    def variables(self) -> dict[str, str]:
        """The environment of a gateway that uses the store."""
        raise NotImplementedError

    def wait_until_it_listens(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise NotServing(f"the store ended: {(self.folder / 'log').read_text()}")
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(POLL_SECONDS)
        raise NotServing(f"no store listens within {START_SECONDS} s")

    def hang(self) -> None:
        """Makes the store accept connections and say nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.go_on()
        self.process.kill()
        self.process.wait()


class S3(Emulator):
    """Amazon S3, by moto."""

    scheme = "s3"
    # The authority of its certificate. `None` without TLS.
    authority: Path | None = None

    def command(self) -> Sequence[str | Path]:
        return [Path(sys.executable).with_name("moto_server"), "-H", HOST, "-p", str(self.port)]

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=KEY,
            verify=str(self.authority) if self.authority else None,
        )

    def create(self) -> None:
        self.client().create_bucket(Bucket=BUCKET)

    def put(self, name: str, content: bytes) -> None:
        self.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=content)

    def variables(self) -> dict[str, str]:
        return {
            "GATEWAY__MODELS__REPOSITORY": f"{self.scheme}://{BUCKET}/{PREFIX}",
            "GATEWAY__MODELS__STORE__ENDPOINT": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": KEY,
        }


class EncryptedS3(S3):
    """Amazon S3 with a certificate of an authority that only the settings know."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.certificates, self.authority = certificates, certificates.authority
        super().__init__(folder)

    def prepare(self) -> None:
        self.endpoint = f"https://{HOST}:{self.port}"

    def command(self) -> Sequence[str | Path]:
        files: list[str | Path] = ["-s", "-c", self.certificates.certificate, "-k", self.certificates.key]
        return [*super().command(), *files]

    def variables(self) -> dict[str, str]:
        return super().variables() | {"GATEWAY__MODELS__STORE__CA_FILE": str(self.certificates.authority)}


class Google(S3):
    """The XML API of Google Cloud Storage, which the emulator of S3 answers, as both are alike without signatures."""

    scheme = "gs"

    def create(self) -> None:
        self.client().create_bucket(Bucket=BUCKET, ACL="public-read")

    def put(self, name: str, content: bytes) -> None:
        self.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=content, ACL="public-read")

    def variables(self) -> dict[str, str]:
        plain = {name: value for name, value in super().variables().items() if not name.startswith("AWS_")}
        return plain | {"GATEWAY__MODELS__STORE__ANONYMOUS": "true"}


class Azure(Emulator):
    """Azure Blob Storage, by Azurite."""

    def command(self) -> Sequence[str | Path]:
        where = ["--blobHost", HOST, "--blobPort", str(self.port), "--inMemoryPersistence"]
        # The clients may speak a later version than it knows.
        return [AZURITE, *where, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]

    def container(self) -> Any:
        from azure.storage.blob import ContainerClient

        account = f"{self.endpoint}/{ACCOUNT}"
        return ContainerClient(account, BUCKET, credential={"account_name": ACCOUNT, "account_key": ACCOUNT_KEY})

    def create(self) -> None:
        with self.container() as container:
            container.create_container()

    def put(self, name: str, content: bytes) -> None:
        with self.container() as container:
            container.upload_blob(f"{PREFIX}/{name}", content, overwrite=True)

    def variables(self) -> dict[str, str]:
        return {
            "GATEWAY__MODELS__REPOSITORY": f"az://{BUCKET}/{PREFIX}",
            "GATEWAY__MODELS__STORE__ENDPOINT": f"{self.endpoint}/{ACCOUNT}",
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
        }


class WebDav(Emulator):
    """A folder of a WebDAV server, by WsgiDAV."""

    def prepare(self) -> None:
        (self.folder / "root" / PREFIX).mkdir(parents=True)

    def command(self) -> Sequence[str | Path]:
        program = Path(sys.executable).with_name("wsgidav")
        where: list[str | Path] = ["--host", HOST, "--port", str(self.port), "--root", self.folder / "root"]
        return [program, *where, "--auth", "anonymous", "--server", "cheroot"]

    def put(self, name: str, content: bytes) -> None:
        target = self.folder / "root" / PREFIX / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = self.folder / "part"
        part.write_bytes(content)
        part.replace(target)

    def variables(self) -> dict[str, str]:
        return {"GATEWAY__MODELS__REPOSITORY": f"{self.endpoint}/{PREFIX}"}


def azure_is_here() -> bool:
    """Returns true if the emulator of Azure can be started."""
    return AZURITE.exists() and shutil.which("node") is not None
