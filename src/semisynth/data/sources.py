"""The data sets that mirrors hold: their files, digests, public mirrors and class names."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from semisynth.data.idx import read_payload
from semisynth.errors import SemisynthError


@dataclass(frozen=True)
class Source:
    """A data set of four packed IDX files, named as MNIST's.

    `digests` maps a file's name without `.gz` to its digest in hexadecimal: the SHA-256 of the unpacked
    payload, which holds however a mirror packs it, or the MD5 of the packed file.
    """

    name: str
    class_names: tuple[str, ...]
    digests: Mapping[str, str]
    digest: Literal["payload-sha256", "file-md5"]
    public: tuple[str, ...]  # URLs of folders

    def check(self, file: str, path: Path) -> None:
        """Raise SemisynthError unless `path` is the data set's `file`, whole and genuine."""
        payload = read_payload(path)
        if self.digest == "payload-sha256":
            _compare("SHA-256 of the unpacked payload", hashlib.sha256(payload), self.digests[file])
        else:
            packed = hashlib.md5(path.read_bytes(), usedforsecurity=False)
            _compare("MD5 of the file as its publisher packed it", packed, self.digests[file])


def _compare(what: str, received: "hashlib._Hash", expected: str) -> None:
    if received.hexdigest() != expected:
        raise SemisynthError(f"digest mismatch: {what} must be {expected}, received {received.hexdigest()}")


SOURCES = {
    "mnist": Source(
        name="mnist",
        class_names=tuple("0123456789"),
        digest="payload-sha256",
        digests={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        public=(
            "https://storage.googleapis.com/cvdf-datasets/mnist",
            "https://ossci-datasets.s3.amazonaws.com/mnist",
        ),
    ),
    # its README, https://github.com/zalandoresearch/fashion-mnist, gives digests of the packed files alone
    "fashion-mnist": Source(
        name="fashion-mnist",
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        digest="file-md5",
        digests={
            "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        public=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",),
    ),
}
