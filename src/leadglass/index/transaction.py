"""One write transaction: all that the committer may do to the index between BEGIN IMMEDIATE and COMMIT."""

from typing import Any

from leadglass.index.accounts import AccountWriter
from leadglass.index.catalogue import CatalogueWriter
from leadglass.index.chain import ChainWriter
from leadglass.index.prepared import PreparedWriter
from leadglass.index.quarantine import QuarantineWriter
from leadglass.index.registry import RegistryWriter
from leadglass.index.review import ReviewWriter
from leadglass.index.terms import Terms


class Transaction(
    CatalogueWriter, ChainWriter, RegistryWriter, ReviewWriter, AccountWriter, PreparedWriter, QuarantineWriter
):
    """Used by one thread, between entering and leaving `Index.begin()`."""

    def __init__(self, cursor: Any, terms: Terms) -> None:
        self._cursor = cursor
        self._terms = terms
