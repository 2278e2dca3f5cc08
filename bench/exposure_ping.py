"""What nmap's dicom-ping does and no more, with the auditor's own parts: connect to each port, and where something
answers A-ASSOCIATE and C-ECHO. `python -m bench.exposure_ping SCOPE`; run by bench.exposure.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from leadglass.assess.discovery import State, discover
from leadglass.assess.observation import Endpoint
from leadglass.assess.probes.dimse_knock import SYNTAXES, Way
from leadglass.assess.reach import Reach
from leadglass.assess.scope import read_scope
from leadglass.dicom.uids import VERIFICATION
from leadglass.dimse.connection import AssociationRefused
from leadglass.dimse.negotiation import propose
from leadglass.errors import NotAvailable, ProtocolError

ECHO = propose(((VERIFICATION, SYNTAXES),))
CONNECTIONS = 2048
WORKERS = 16


def ping(way: Way) -> str:
    try:
        with way.open() as line:
            line.associate(way.request(ECHO))
            context = line.accepts(VERIFICATION)
            status = "no verification" if context is None else f"{line.echo(context):04X}H"
            line.release()
            return status
    except (NotAvailable, ProtocolError, AssociationRefused) as error:
        return type(error).__name__


def main() -> None:
    scope = read_scope(Path(sys.argv[1]), datetime.now(UTC))
    reach, state = Reach(scope), State()
    discover(reach, scope.addresses(), scope.ports, state, lambda *_: None, CONNECTIONS)
    doors = [Way(reach, Endpoint(address, port)) for address, ports in state.found.items() for port in ports]
    with ThreadPoolExecutor(WORKERS) as workers:
        for door, status in zip(doors, workers.map(ping, doors), strict=True):
            print(door.endpoint, status)


if __name__ == "__main__":
    main()
