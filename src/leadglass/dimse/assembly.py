"""Messages put together again from their fragments (PS3.7 6.3.1, PS3.8 Annex E)."""

from collections.abc import Container

from leadglass.dimse.events import CommandReceived, DataReceived
from leadglass.dimse.message import CStoreRq, decode_command
from leadglass.dimse.pdata import COMMAND, LAST
from leadglass.dimse.values import INVALID_PARAMETER, UNEXPECTED_PARAMETER
from leadglass.errors import ProtocolError
from leadglass.model import AssociationLimits


class MessageAssembler:
    """One message at a time: the command first, then its data set on the same presentation context.

    Only a command is gathered here, bounded; data sets pass through. That of a C-STORE is bounded by whoever reads it,
    every other one by `identifier_bytes`.
    """

    def __init__(self, contexts: Container[int], limits: AssociationLimits) -> None:
        self._contexts = contexts
        self._limits = limits
        self._context_id = 0
        self._in_data_set = False
        self._command = b""
        self._identifier_left: int | None = None

    def add(self, context_id: int, control: int, fragment: memoryview) -> CommandReceived | DataReceived | None:
        """The event that the fragment completes, if any. Raises ProtocolError."""
        if control & COMMAND:
            return self._add_command(context_id, control, fragment)
        if not self._in_data_set or context_id != self._context_id:
            raise ProtocolError("a data set fragment without its command", UNEXPECTED_PARAMETER)
        if self._identifier_left is not None:
            self._identifier_left -= len(fragment)
            if self._identifier_left < 0:
                raise ProtocolError("an identifier is longer than allowed", INVALID_PARAMETER)
        last = control & LAST != 0
        if last:
            self._in_data_set = False
        return DataReceived(context_id, fragment, last)

    def _add_command(self, context_id: int, control: int, fragment: memoryview) -> CommandReceived | None:
        if self._in_data_set or (self._command and context_id != self._context_id):
            raise ProtocolError("a command before the last message was complete", UNEXPECTED_PARAMETER)
        if context_id not in self._contexts:
            raise ProtocolError("a command on a presentation context that was not accepted", INVALID_PARAMETER)
        if len(self._command) + len(fragment) > self._limits.command_bytes:
            raise ProtocolError("a command set is longer than allowed", INVALID_PARAMETER)
        self._context_id = context_id
        self._command += fragment
        if not control & LAST:
            return None
        message, has_data_set = decode_command(self._command)
        self._command = b""
        self._in_data_set = has_data_set
        self._identifier_left = None if type(message) is CStoreRq else self._limits.identifier_bytes
        return CommandReceived(context_id, message, has_data_set)
