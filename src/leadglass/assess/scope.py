"""What may be looked at: a TOML file in which the owner says so. Nothing outside it is ever contacted.

Read once and strictly; names are resolved once, and only those addresses are contacted afterwards.
"""

import hashlib
import ipaddress
import socket
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from leadglass.assess.observation import Endpoint
from leadglass.errors import NotAvailable, RefusedForSafety, UsageError

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
#: A name's addresses as text. Raises OSError when it has none.
Resolver = Callable[[str], Sequence[str]]

#: Where PACS, their web doors and their listings have been found (port 21: FTP listings).
DEFAULT_PORTS: Final = (21, 80, 104, 443, 2345, 2761, 2762, 3000, 4242, 8042, 8043, 8080, 8443, 11112)
MOST_PUBLIC: Final = 4096
_MOST_ADDRESSES: Final = 1 << 20
_MOST_FILE: Final = 1 << 20
_DEFAULT_CONNECTIONS: Final = 2000
_DEFAULT_PER_HOST: Final = 4

_KEYS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "organisation": frozenset({"name", "authorised_by", "from", "until"}),
        "targets": frozenset({"networks", "hosts", "ports"}),
        "allow": frozenset({"write_test", "default_credentials", "public_networks"}),
        "rate": frozenset({"connections", "per_host"}),
    }
)


@dataclass(frozen=True, slots=True)
class Rate:
    """`connections`: at most so many are begun in a second, and at most so many open at once; `per_host`: open at once
    to one address."""

    connections: int = _DEFAULT_CONNECTIONS
    per_host: int = _DEFAULT_PER_HOST


class Territory:
    """Addresses, however many lines name them: a look-up takes as long for ten thousand as for one."""

    def __init__(self, networks: Iterable[Network]) -> None:
        spans = sorted(
            (each.version, int(each.network_address), int(each.broadcast_address)) for each in _disjoint(networks)
        )
        self._begins = [(version, first) for version, first, _ in spans]
        self._ends = [last for _, _, last in spans]

    def __contains__(self, address: Address) -> bool:
        place = bisect_right(self._begins, (address.version, int(address))) - 1
        return place >= 0 and self._begins[place][0] == address.version and int(address) <= self._ends[place]


@dataclass(frozen=True, slots=True)
class Scope:
    """`hosts`: each name with its addresses, pinned when the scope was read. `begins`, `ends`: aware.

    `sha256` is that of the file, in hex; reports carry it.
    """

    organisation: str
    authorised_by: str
    begins: datetime
    ends: datetime
    networks: tuple[Network, ...]
    hosts: Mapping[str, tuple[Address, ...]]
    ports: tuple[int, ...]
    public_networks: tuple[Network, ...]
    write_test: bool
    default_credentials: bool
    rate: Rate
    sha256: str
    territory: Territory = field(repr=False)

    def allows(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint may be contacted: its address is one of ours and its port is listed."""
        try:
            address = ipaddress.ip_address(endpoint.address)
        except ValueError:
            return False
        return endpoint.port in self.ports and self.holds(address)

    def holds(self, address: Address) -> bool:
        return address in self.territory

    def addresses(self) -> Iterator[Address]:
        """Each address once, hosts first."""
        pinned = {address for addresses in self.hosts.values() for address in addresses}
        yield from sorted(pinned, key=lambda each: (each.version, int(each)))
        for network in _disjoint(self.networks):
            yield from (address for address in _usable(network) if address not in pinned)

    def size(self) -> int:
        return sum(network.num_addresses for network in _disjoint(self.networks)) + sum(map(len, self.hosts.values()))

    def names_of(self, address: Address) -> tuple[str, ...]:
        return tuple(name for name, addresses in self.hosts.items() if address in addresses)

    @property
    def is_public(self) -> bool:
        pinned = (ipaddress.ip_network(address) for addresses in self.hosts.values() for address in addresses)
        return any(map(_is_public, (*self.networks, *pinned)))


def read_scope(path: Path, now: datetime, resolve: Resolver | None = None) -> Scope:
    """The scope in a file. UsageError for what it does not say or says wrongly, RefusedForSafety when it does not hold
    now or reaches too far, NotAvailable when a name does not resolve."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_FILE + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", "Give the scope as a TOML file.") from None
    if len(data) > _MOST_FILE:
        raise UsageError(f"{path} is larger than a scope may be.")
    scope = parse_scope(data, resolve or resolve_name)
    _require_now(scope, now)
    _require_owned(scope)
    return scope


def parse_scope(data: bytes, resolve: Resolver) -> Scope:
    """As `read_scope`, without looking at the clock or at how far it reaches."""
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"The scope is not TOML: {error}.") from None
    tables = _tables(document)
    organisation, targets, allow, rate = (tables[name] for name in _KEYS)
    networks = tuple(_network(each) for each in _texts(targets, "targets", "networks"))
    hosts = {name: _pinned(name, resolve) for name in _texts(targets, "targets", "hosts")}
    if not networks and not hosts:
        raise UsageError("The scope names no target.", "List networks or hosts under [targets].")
    begins, ends = _moment(organisation, "from", ends=False), _moment(organisation, "until", ends=True)
    if ends <= begins:
        raise UsageError("The scope ends before it begins.", "Correct from and until under [organisation].")
    pinned = (ipaddress.ip_network(address) for addresses in hosts.values() for address in addresses)
    return Scope(
        organisation=_text(organisation, "organisation", "name"),
        authorised_by=_text(organisation, "organisation", "authorised_by"),
        begins=begins,
        ends=ends,
        networks=networks,
        hosts=MappingProxyType(hosts),
        ports=_ports(targets),
        public_networks=_public_networks(allow),
        write_test=_flag(allow, "write_test"),
        default_credentials=_flag(allow, "default_credentials"),
        rate=Rate(
            _number(rate, "connections", _DEFAULT_CONNECTIONS, 10_000),
            _number(rate, "per_host", _DEFAULT_PER_HOST, 64),
        ),
        sha256=hashlib.sha256(data).hexdigest(),
        territory=Territory((*networks, *pinned)),
    )


def resolve_name(name: str) -> Sequence[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


def narrowed(scope: Scope, targets: Sequence[str]) -> tuple[Network, ...]:
    """The part of the scope that was asked for on the command line: addresses, networks, or names that the scope lists.
    RefusedForSafety for whatever is not wholly inside."""
    return tuple(part for target in targets for part in _narrow(scope, target))


def _narrow(scope: Scope, target: str) -> list[Network]:
    if target in scope.hosts:
        return [ipaddress.ip_network(address) for address in scope.hosts[target]]
    try:
        network = ipaddress.ip_network(target)
    except ValueError:
        raise RefusedForSafety(
            f"{target} is not in the scope.", "Name an address or network inside it, or a host that it lists."
        ) from None
    single = network.num_addresses == 1 and scope.holds(network.network_address)
    if not single and not any(_inside(network, each) for each in scope.networks):
        raise RefusedForSafety(f"{target} is not in the scope.", "Have the scope changed by whoever authorised it.")
    return [network]


def _require_now(scope: Scope, now: datetime) -> None:
    if now >= scope.ends:
        raise RefusedForSafety(
            f"The scope expired on {scope.ends:%Y-%m-%d %H:%M %Z}.", f"Have it renewed by {scope.authorised_by}."
        )
    if now < scope.begins:
        raise RefusedForSafety(f"The scope does not hold before {scope.begins:%Y-%m-%d %H:%M %Z}.")


def _require_owned(scope: Scope) -> None:
    public = [network for network in _disjoint(scope.networks) if _is_public(network)]
    pinned = {address for addresses in scope.hosts.values() for address in addresses}
    named = {address for address in pinned if _is_public(ipaddress.ip_network(address))}
    if sum(network.num_addresses for network in public) + len(named) > MOST_PUBLIC:
        raise RefusedForSafety(
            f"The scope reaches over {MOST_PUBLIC} public addresses.", "Split it into what one owner answers for."
        )
    if scope.size() > _MOST_ADDRESSES:
        raise RefusedForSafety("The scope reaches over 1,048,576 addresses.", "Split it, or list hosts.")
    for network in (*public, *map(ipaddress.ip_network, sorted(map(str, named)))):
        if not any(_inside(network, owned) for owned in scope.public_networks):
            raise RefusedForSafety(
                f"{network} is public, and no line of its own says that it is yours.",
                f'Add "{network}" to public_networks under [allow] if it is.',
            )


def _tables(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    unknown = set(document) - set(_KEYS)
    if unknown:
        raise UsageError(f"The scope has an unknown part: {', '.join(sorted(unknown))}.")
    tables: dict[str, Mapping[str, Any]] = {}
    for name, keys in _KEYS.items():
        table = document.get(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"[{name}] of the scope is not a table.")
        strange = set(table) - keys
        if strange:
            raise UsageError(f"[{name}] of the scope has an unknown key: {', '.join(sorted(strange))}.")
        tables[name] = table
    return tables


def _text(table: Mapping[str, Any], part: str, key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"[{part}] of the scope lacks a text for {key}.")
    return value.strip()


def _texts(table: Mapping[str, Any], part: str, key: str) -> list[str]:
    values = table.get(key, [])
    if not isinstance(values, list) or not all(isinstance(each, str) and each for each in values):
        raise UsageError(f"{key} under [{part}] of the scope is not a list of texts.")
    return list(dict.fromkeys(values))


def _flag(table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f"{key} under [allow] of the scope is neither true nor false.")
    return value


def _number(table: Mapping[str, Any], key: str, default: int, most: int) -> int:
    value = table.get(key, default)
    if type(value) is not int or not 1 <= value <= most:
        raise UsageError(f"{key} under [rate] of the scope is not a number from 1 to {most}.")
    return value


def _ports(targets: Mapping[str, Any]) -> tuple[int, ...]:
    ports = targets.get("ports", list(DEFAULT_PORTS))
    if not isinstance(ports, list) or not ports or not all(type(each) is int and 0 < each < 65536 for each in ports):
        raise UsageError("ports under [targets] of the scope is not a list of port numbers.")
    return tuple(dict.fromkeys(ports))


def _moment(table: Mapping[str, Any], key: str, *, ends: bool) -> datetime:
    """A TOML date or time, or one as text. Without a zone it is UTC; a day that ends something is meant to its end."""
    value = table.get(key)
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        try:
            return datetime.combine(value, time(tzinfo=UTC)) + timedelta(days=1 if ends else 0)
        except OverflowError:
            pass
    raise UsageError(
        f"{key} under [organisation] of the scope is not a date.", f"Write {key} = 2026-01-31, for example."
    )


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise UsageError(f"{text} in the scope is not a network.", "Write 192.0.2.0/24, without host bits.") from None
    if network.version == 6 and network.overlaps(_MAPPED):
        raise UsageError(f"{text} stands for addresses of IPv4.", "Write those as IPv4.")
    if network.num_addresses == 1:
        _require_unicast(network.network_address, text)
    return network


def _public_networks(allow: Mapping[str, Any]) -> tuple[Network, ...]:
    value = allow.get("public_networks", [])
    if value is False:
        return ()
    if value is True:
        raise RefusedForSafety(
            "The scope allows public networks without naming them.", "List each one in public_networks under [allow]."
        )
    return tuple(_network(each) for each in _texts(allow, "allow", "public_networks"))


def _pinned(name: str, resolve: Resolver) -> tuple[Address, ...]:
    try:
        found = [name] if _is_address(name) else resolve(name)
    except (OSError, UnicodeError):
        raise NotAvailable(f"{name} of the scope does not resolve.", "Correct it, or list its address.") from None
    addresses = dict.fromkeys(ipaddress.ip_address(each.split("%")[0]) for each in found)
    for address in addresses:
        _require_unicast(address, name)
    return tuple(addresses)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _require_unicast(address: Address, text: str) -> None:
    # ::ffff:192.0.2.1 is 192.0.2.1 by another name, and would pass by what is said of that.
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    if mapped or address.is_multicast or address.is_unspecified or address == IPv4Address("255.255.255.255"):
        raise UsageError(f"{text} in the scope is no address of a host.")


def _is_public(network: Network) -> bool:
    """Whether any address of it may be reached by everybody: a network counts as private only if it is so wholly."""
    return not (network.is_private or network.is_loopback or network.is_link_local or _inside(network, _SHARED))


_MAPPED: Final = ipaddress.ip_network("::ffff:0:0/96")  # RFC 4291 2.5.5.2
_SHARED: Final = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598


def _inside(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False


def _disjoint(networks: Iterable[Network]) -> list[Network]:
    """The same addresses without overlaps: of two networks one holds the other, or they are apart."""
    kept: list[Network] = []
    for network in sorted(networks, key=lambda each: (each.version, int(each.network_address), each.prefixlen)):
        # Sorted so, whatever holds it came before it, and last of those that were kept.
        if not kept or not _inside(network, kept[-1]):
            kept.append(network)
    return kept


def _usable(network: Network) -> Iterator[Address]:
    """Hosts of a network. On loopback each address is one; elsewhere an IPv4 network's first and last are none."""
    if network.is_loopback:
        yield from network
    else:
        yield from network.hosts()
