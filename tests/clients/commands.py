"""S3 clients that are programs. Each says how it does what users do; a step that fails raises with what the program wrote.

No client gets options that it would not need against AWS, apart from the address and the keys.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from place import Place

SECONDS = 120


class Program:
    """A client that is a program."""

    name = ""
    #: Words in the output of a sync that stand for a transferred file.
    transfers: tuple[str, ...] = ()

    def __init__(self, place: Place, folder: Path) -> None:
        self.place, self.folder = place, folder
        # This machine's own settings of AWS are not the table's.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = {
            **plain, "HOME": str(folder), "AWS_ACCESS_KEY_ID": place.key_id, "AWS_SECRET_ACCESS_KEY": place.secret,
            "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip

    def run(self, *words: object) -> str:
        """Runs the program and returns all that it wrote."""
        command = [*self.start(), *map(str, words)]
        done = subprocess.run(command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"`{' '.join(map(str, words))}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}")
        return done.stdout + done.stderr

    def start(self) -> list[str]:
        """The program and the options of every call."""
        raise NotImplementedError

    def url(self, key: str = "") -> str:
        """How the program names an object, or the bucket."""
        return f"s3://{self.place.bucket}/{key}"

    def sync(self, folder: Path, prefix: str) -> list[str]:
        """Synchronises a folder; returns the lines about transfers, and every warning."""
        said = self.run(*self.sync_words(folder, prefix)).splitlines()
        return [line for line in said if any(word in line for word in (*self.transfers, "WARN", "warning", "ERROR", "NOTICE"))]

    def sync_words(self, folder: Path, prefix: str) -> tuple[object, ...]:
        """The command."""
        return "sync", folder, self.url(prefix)


class AwsCli(Program):
    """AWS CLI."""

    name, transfers = "AWS CLI", ("upload:",)

    def start(self) -> list[str]:
        return [str(Path(os.environ["ABANICO_TEST_TOOLS"]) / "aws"), "--endpoint-url", self.place.endpoint]

    def version(self) -> str:
        return self.run("--version").split()[0].partition("/")[2]

    def make_bucket(self) -> None:
        self.run("s3", "mb", f"s3://{self.place.bucket}")

    def upload(self, file: Path, key: str) -> None:
        self.run("s3", "cp", file, self.url(key))

    def sizes(self, prefix: str) -> dict[str, int]:
        rows = [line.split(maxsplit=3) for line in self.run("s3", "ls", "--recursive", self.url(prefix)).splitlines()]
        return {key: int(size) for _, _, size, key in rows}

    def download(self, key: str, file: Path) -> None:
        self.run("s3", "cp", self.url(key), file)

    def copy(self, key: str, to: str) -> None:
        self.run("s3", "cp", self.url(key), self.url(to))

    def remove(self, key: str) -> None:
        self.run("s3", "rm", self.url(key))

    def sync_words(self, folder: Path, prefix: str) -> tuple[object, ...]:
        return "s3", "sync", folder, self.url(prefix)

    def remove_bucket(self) -> None:
        self.run("s3", "rb", "--force", f"s3://{self.place.bucket}")


class Rclone(Program):
    """rclone, with the provider `Other`, as its documentation asks for a server that it does not know."""

    name, transfers = "rclone", ("Copied",)

    def __init__(self, place: Place, folder: Path) -> None:
        super().__init__(place, folder)
        own = {
            "TYPE": "s3", "PROVIDER": "Other", "ACCESS_KEY_ID": place.key_id, "SECRET_ACCESS_KEY": place.secret,
            "ENDPOINT": place.endpoint, "REGION": "us-east-1",
        }  # fmt: skip
        self.environment |= {f"RCLONE_CONFIG_THERE_{name}": value for name, value in own.items()}
        (folder / "rclone.conf").touch()
        self.environment["RCLONE_CONFIG"] = str(folder / "rclone.conf")

    def start(self) -> list[str]:
        return ["rclone", "--retries", "1"]

    def url(self, key: str = "") -> str:
        return f"there:{self.place.bucket}/{key}"

    def version(self) -> str:
        return self.run("version").split()[1].removeprefix("v").removesuffix("-DEV")

    def make_bucket(self) -> None:
        self.run("mkdir", self.url())

    def upload(self, file: Path, key: str) -> None:
        self.run("copyto", "--s3-upload-cutoff", "8M", file, self.url(key))

    def sizes(self, prefix: str) -> dict[str, int]:
        rows = json.loads(self.run("lsjson", "-R", "--files-only", self.url(prefix)))
        return {f"{prefix}{row['Path']}": row["Size"] for row in rows}

    def download(self, key: str, file: Path) -> None:
        self.run("copyto", self.url(key), file)

    def copy(self, key: str, to: str) -> None:
        self.run("copyto", self.url(key), self.url(to))

    def remove(self, key: str) -> None:
        self.run("deletefile", self.url(key))

    def sync_words(self, folder: Path, prefix: str) -> tuple[object, ...]:
        return "sync", "-v", folder, self.url(prefix)

    def remove_bucket(self) -> None:
        self.run("purge", self.url())


class S3cmd(Program):
    """s3cmd."""

    name, transfers = "s3cmd", ("upload:",)

    def __init__(self, place: Place, folder: Path) -> None:
        super().__init__(place, folder)
        host = place.endpoint.partition("//")[2]
        lines = {
            "access_key": place.key_id, "secret_key": place.secret, "host_base": host, "host_bucket": host,
            "use_https": "False", "bucket_location": "us-east-1", "progress_meter": "False",
        }  # fmt: skip
        text = "\n".join(["[default]", *(f"{name} = {value}" for name, value in lines.items())])
        (folder / "s3cmd.conf").write_text(text)

    def start(self) -> list[str]:
        return ["s3cmd", "--config", str(self.folder / "s3cmd.conf")]

    def version(self) -> str:
        return self.run("--version").split()[-1]

    def make_bucket(self) -> None:
        self.run("mb", f"s3://{self.place.bucket}")

    def upload(self, file: Path, key: str) -> None:
        self.run("put", "--multipart-chunk-size-mb=5", file, self.url(key))

    def sizes(self, prefix: str) -> dict[str, int]:
        rows = [line.split(maxsplit=3) for line in self.run("ls", "-r", self.url(prefix)).splitlines()]
        return {url.removeprefix(self.url()): int(size) for _, _, size, url in rows}

    def download(self, key: str, file: Path) -> None:
        self.run("get", "--force", self.url(key), file)

    def copy(self, key: str, to: str) -> None:
        self.run("cp", self.url(key), self.url(to))

    def remove(self, key: str) -> None:
        self.run("del", self.url(key))

    def sync_words(self, folder: Path, prefix: str) -> tuple[object, ...]:
        return "sync", f"{folder}/", self.url(prefix)

    def remove_bucket(self) -> None:
        self.run("rb", "--recursive", f"s3://{self.place.bucket}")


class S5cmd(Program):
    """s5cmd."""

    name, transfers = "s5cmd", ("cp ",)

    def start(self) -> list[str]:
        return [str(Path(sys.executable).with_name("s5cmd")), "--endpoint-url", self.place.endpoint]

    def version(self) -> str:
        return self.run("version").strip().removeprefix("v").partition("-")[0]

    def make_bucket(self) -> None:
        self.run("mb", f"s3://{self.place.bucket}")

    def upload(self, file: Path, key: str) -> None:
        self.run("cp", "--part-size", "5", file, self.url(key))

    def sizes(self, prefix: str) -> dict[str, int]:
        rows = [line.split(maxsplit=3) for line in self.run("ls", self.url(f"{prefix}*")).splitlines()]
        # The names are relative to the prefix.
        return {f"{prefix}{key.removeprefix(prefix)}": int(size) for _, _, size, key in rows}

    def download(self, key: str, file: Path) -> None:
        self.run("cp", self.url(key), file)

    def copy(self, key: str, to: str) -> None:
        self.run("cp", self.url(key), self.url(to))

    def remove(self, key: str) -> None:
        self.run("rm", self.url(key))

    def sync_words(self, folder: Path, prefix: str) -> tuple[object, ...]:
        return "sync", f"{folder}/", self.url(prefix)

    def remove_bucket(self) -> None:
        self.run("rm", self.url("*"))
        self.run("rb", f"s3://{self.place.bucket}")


PROGRAMS = (AwsCli, Rclone, S3cmd, S5cmd)
