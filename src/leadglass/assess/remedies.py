"""What to change at a door, for the very product behind it: the steps of remedies.toml."""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from typing import Self

_NOW = "@now"
_ANY = "any"
_SAME = {"offis": "dcmtk"}


class Aspect(StrEnum):
    """What a remedy closes."""

    READ_DIMSE = "read-dimse"
    WRITE_DIMSE = "write-dimse"
    TLS_DIMSE = "tls-dimse"
    READ_WEB = "read-web"
    WRITE_WEB = "write-web"
    TLS_WEB = "tls-web"
    TLS_STRENGTH = "tls-strength"
    CERTIFICATE = "certificate"
    CREDENTIALS = "credentials"
    FILES = "files"
    FTP = "ftp"
    NONE = "none"


class Remedies:
    """The table, read once."""

    def __init__(self, now: str, products: Mapping[str, Mapping[str, list[str]]]) -> None:
        self._now = now
        self._products = products

    @classmethod
    def load(cls) -> Self:
        text = files("leadglass.assess").joinpath("remedies.toml").read_text(encoding="utf-8")
        table = tomllib.loads(text)
        return cls(table.pop("now"), table)

    def steps(self, product: str, aspect: Aspect) -> tuple[str, ...]:
        """The steps for the product (by how its name begins), else those that help with any."""
        name = product.lower()
        for beginning, same in _SAME.items():
            name = same if name.startswith(beginning) else name
        known = next((each for each in self._products if name.startswith(each)), _ANY)
        steps = self._products[known].get(aspect) or self._products[_ANY][aspect]
        return tuple(self._now if step == _NOW else step for step in steps)
