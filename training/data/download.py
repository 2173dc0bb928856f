"""The Spiking Heidelberg Digits (SHD) and Spiking Speech Commands (SSC), from their publisher (CC BY 4.0)."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.bridge.storage import atomic_path
from spikebridge.training.data.transfer import transfer

BASE_URL = "https://zenkelab.org/datasets"


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive with one data file, which has the archive's name without `.zip`.

    Attributes:
        name: file name at the publisher, for example `shd_train.h5.zip`.
        md5: checksum of the archive.
    """

    name: str
    md5: str

    @property
    def content(self) -> str:
        """File name of the data file."""
        return self.name.removesuffix(".zip")


# The checksums are those that the loaders of Tonic and SpikingJelly compare with.
DATASETS = {
    "shd": (
        Archive("shd_train.h5.zip", "f3252aeb598ac776c1b526422d90eecb"),
        Archive("shd_test.h5.zip", "1503a5064faa34311c398fb0a1ed0a6f"),
    ),
    "ssc": (
        Archive("ssc_train.h5.zip", "d102be95e7144fcc0553d1f45ba94170"),
        Archive("ssc_valid.h5.zip", "b4eee3516a4a90dd0c71a6ac23a8ae43"),
        Archive("ssc_test.h5.zip", "a35ff1e9cffdd02a20eb850c17c37748"),
    ),
}


def download(
    dataset: str, directory: Path | str, *, base_url: str = BASE_URL, progress: bool = True
) -> tuple[Path, ...]:
    """Fetch, check and unpack all files of a data set; files that are there already are left alone.

    Args:
        dataset: `shd` (train, test) or `ssc` (train, valid, test).
        directory: where the .h5 files go; made if absent. An archive put there by hand is used instead of the network.
        base_url: the folder at the publisher or at a mirror, http or https.
        progress: show progress bars.

    Returns:
        The data files, in the order of `DATASETS`.

    Raises:
        ConfigError: unknown data set or address.
        DataError: out of reach (what came so far is kept, and running again continues), or the checksum is wrong.
    """
    if dataset not in DATASETS:
        raise ConfigError(f"no data set named {dataset!r} to download; choose from {sorted(DATASETS)}")
    return tuple(fetch(archive, Path(directory), base_url, progress=progress) for archive in DATASETS[dataset])


def fetch(archive: Archive, directory: Path, base_url: str, *, progress: bool = True) -> Path:
    """The data file of one archive, under its final name only when whole; arguments and errors as for `download`."""
    if urlsplit(base_url).scheme not in ("http", "https"):
        raise ConfigError(f"the download address is {base_url!r}; it must start with http:// or https://")
    target = directory / archive.content
    if target.exists():
        return target
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot be made ({error.strerror}); choose another folder", path=directory) from error
    by_hand = directory / archive.name
    if by_hand.exists():
        _check(by_hand, archive, "delete it and run this again, or fetch it again by hand")
        _unpack(by_hand, target)
        return target
    part = directory / f"{archive.name}.part"
    if not part.exists() or _md5(part) != archive.md5:
        transfer(f"{base_url.rstrip('/')}/{archive.name}", part, progress=progress)
        try:
            _check(
                part, archive, "it was deleted; run this again, and if it stays so, the publisher's file has changed"
            )
        except DataError:
            part.unlink()
            raise
    _unpack(part, target)
    part.unlink()
    return target


def _md5(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _check(path: Path, archive: Archive, hint: str) -> None:
    found = _md5(path)
    if found != archive.md5:
        raise DataError(f"has MD5 {found}, expected {archive.md5}; {hint}", path=path)


def _unpack(path: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(path) as content:
            members = [name for name in content.namelist() if Path(name).name == target.name]
            if len(members) != 1:
                raise DataError(f"holds {content.namelist()}, expected one {target.name}", path=path)
            with content.open(members[0]) as packed, atomic_path(target) as temporary, temporary.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"cannot be unpacked ({error}); run this again, there or where there is space", path=path
        ) from error
