"""S3 clients that are Python libraries, each used as its documentation shows."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import boto3
from minio import Minio
from minio.commonconfig import CopySource
from place import Place, Unsupported

PART_BYTES = 5 << 20


class Library:
    """A client that is a library."""

    name = package = ""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place, self.folder = place, folder
        self.connect()

    def connect(self) -> None:
        """Makes the library's client."""
        raise NotImplementedError

    def version(self) -> str:
        return importlib.metadata.version(self.package)

    def path(self, key: str = "") -> str:
        """How file-system-like libraries name an object."""
        return f"{self.place.bucket}/{key}"

    def sync(self, folder: Path, prefix: str) -> list[str]:
        raise Unsupported


class MinioPy(Library):
    """minio-py."""

    name, package = "minio-py", "minio"

    def connect(self) -> None:
        host = self.place.endpoint.partition("//")[2]
        self.minio = Minio(host, access_key=self.place.key_id, secret_key=self.place.secret, secure=False)

    def make_bucket(self) -> None:
        self.minio.make_bucket(self.place.bucket)

    def upload(self, file: Path, key: str) -> None:
        self.minio.fput_object(self.place.bucket, key, str(file), part_size=PART_BYTES)

    def sizes(self, prefix: str) -> dict[str, int]:
        found = self.minio.list_objects(self.place.bucket, prefix=prefix, recursive=True)
        return {one.object_name: one.size for one in found}

    def download(self, key: str, file: Path) -> None:
        self.minio.fget_object(self.place.bucket, key, str(file))

    def copy(self, key: str, to: str) -> None:
        self.minio.copy_object(self.place.bucket, to, CopySource(self.place.bucket, key))

    def remove(self, key: str) -> None:
        self.minio.remove_object(self.place.bucket, key)

    def remove_bucket(self) -> None:
        for key in self.sizes(""):
            self.remove(key)
        self.minio.remove_bucket(self.place.bucket)


class S3fs(Library):
    """s3fs (Python)."""

    name, package = "s3fs", "s3fs"

    def connect(self) -> None:
        import s3fs

        given = {"key": self.place.key_id, "secret": self.place.secret, "endpoint_url": self.place.endpoint}
        self.files = s3fs.S3FileSystem(**given, default_block_size=PART_BYTES, skip_instance_cache=True)

    def make_bucket(self) -> None:
        self.files.mkdir(self.place.bucket)

    def upload(self, file: Path, key: str) -> None:
        self.files.put_file(str(file), self.path(key), chunksize=PART_BYTES)

    def sizes(self, prefix: str) -> dict[str, int]:
        self.files.invalidate_cache()
        found = self.files.find(self.place.bucket, prefix=prefix, detail=True)
        return {name.removeprefix(self.path()): one["size"] for name, one in found.items()}

    def download(self, key: str, file: Path) -> None:
        self.files.get_file(self.path(key), str(file))

    def copy(self, key: str, to: str) -> None:
        self.files.cp_file(self.path(key), self.path(to))

    def remove(self, key: str) -> None:
        self.files.rm_file(self.path(key))

    def remove_bucket(self) -> None:
        self.files.invalidate_cache()
        self.files.rm(self.place.bucket, recursive=True)


class SmartOpen(Library):
    """smart_open: it only reads and writes objects."""

    name, package = "smart_open", "smart_open"

    def connect(self) -> None:
        given = {"aws_access_key_id": self.place.key_id, "aws_secret_access_key": self.place.secret}
        self.client = boto3.client("s3", endpoint_url=self.place.endpoint, region_name="us-east-1", **given)

    def open(self, key: str, mode: str) -> object:
        """Opens an object."""
        import smart_open

        own = {"client": self.client, **({"min_part_size": PART_BYTES} if mode == "wb" else {})}
        # A `#` or `?` in a key would begin another part of a URL; smart_open takes the key as it is.
        return smart_open.open(f"s3://{self.path(key)}", mode, transport_params=own)

    def make_bucket(self) -> None:
        self.client.create_bucket(Bucket=self.place.bucket)
        raise Unsupported

    def upload(self, file: Path, key: str) -> None:
        with file.open("rb") as source, self.open(key, "wb") as target:
            shutil.copyfileobj(source, target)

    def sizes(self, prefix: str) -> dict[str, int]:
        raise Unsupported

    def download(self, key: str, file: Path) -> None:
        with self.open(key, "rb") as source, file.open("wb") as target:
            shutil.copyfileobj(source, target)

    def copy(self, key: str, to: str) -> None:
        raise Unsupported

    def remove(self, key: str) -> None:
        raise Unsupported

    def remove_bucket(self) -> None:
        raise Unsupported


class PyArrow(Library):
    """PyArrow's S3FileSystem, which is AWS's SDK for C++."""

    name, package = "PyArrow", "pyarrow"

    def connect(self) -> None:
        from pyarrow import fs

        self.fs = fs
        self.files = fs.S3FileSystem(
            access_key=self.place.key_id, secret_key=self.place.secret, endpoint_override=self.place.endpoint.partition("//")[2],
            scheme="http", region="us-east-1", allow_bucket_creation=True, allow_bucket_deletion=True,
        )  # fmt: skip

    def make_bucket(self) -> None:
        self.files.create_dir(self.place.bucket)

    def upload(self, file: Path, key: str) -> None:
        with file.open("rb") as source, self.files.open_output_stream(self.path(key)) as target:
            shutil.copyfileobj(source, target)

    def sizes(self, prefix: str) -> dict[str, int]:
        found = self.files.get_file_info(self.fs.FileSelector(self.path(prefix).rstrip("/"), recursive=True))
        return {one.path.removeprefix(self.path()): one.size for one in found if one.is_file}

    def download(self, key: str, file: Path) -> None:
        with self.files.open_input_file(self.path(key)) as source, file.open("wb") as target:
            shutil.copyfileobj(source, target)

    def copy(self, key: str, to: str) -> None:
        self.files.copy_file(self.path(key), self.path(to))

    def remove(self, key: str) -> None:
        self.files.delete_file(self.path(key))

    def remove_bucket(self) -> None:
        self.files.delete_dir(self.place.bucket)


LIBRARIES = (MinioPy, S3fs, SmartOpen, PyArrow)
