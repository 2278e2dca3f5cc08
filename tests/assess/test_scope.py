"""What a scope may say, and that everything else is refused before anything is contacted."""

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from leadglass.assess.observation import Endpoint
from leadglass.assess.scope import DEFAULT_PORTS, Scope, narrowed, parse_scope, read_scope
from leadglass.errors import LeadglassError, NotAvailable, RefusedForSafety, UsageError
from tests.served import CLI

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HEAD = '[organisation]\nname = "H"\nauthorised_by = "CISO"\nfrom = 2026-01-01\nuntil = 2026-12-31\n'


def _nobody(name: str) -> Sequence[str]:
    raise OSError(f"{name} was looked up")


def _read(tmp_path: Path, targets: str, resolve: "dict[str, list[str]] | None" = None, head: str = HEAD) -> Scope:
    path = tmp_path / "scope.toml"
    path.write_text(f"{head}[targets]\n{targets}\n")
    return read_scope(path, NOW, (lambda name: resolve[name]) if resolve is not None else _nobody)


def test_a_scope_says_what_is_meant(tmp_path: Path) -> None:
    scope = _read(tmp_path, 'networks = ["10.1.0.0/30"]\nhosts = ["pacs"]', {"pacs": ["10.2.0.1", "fd00::1"]})
    assert scope.ports == DEFAULT_PORTS
    assert not scope.write_test
    assert not scope.default_credentials
    assert [str(each) for each in scope.addresses()] == ["10.2.0.1", "fd00::1", "10.1.0.1", "10.1.0.2"]
    assert scope.names_of(ip_address("10.2.0.1")) == ("pacs",)
    assert len(scope.sha256) == 64


def test_overlapping_networks_are_looked_at_once(tmp_path: Path) -> None:
    scope = _read(tmp_path, 'networks = ["127.0.9.0/30", "127.0.9.0/31", "127.0.9.2/32"]')
    assert len(list(scope.addresses())) == 4
    assert scope.size() == 4


def test_only_what_is_listed_is_allowed(tmp_path: Path) -> None:
    scope = _read(tmp_path, 'networks = ["10.1.0.0/24"]\nhosts = ["pacs"]\nports = [104]', {"pacs": ["10.2.0.1"]})
    assert scope.allows(Endpoint("10.1.0.7", 104))
    assert scope.allows(Endpoint("10.2.0.1", 104))
    for outside in (Endpoint("10.1.0.7", 105), Endpoint("10.1.1.1", 104), Endpoint("pacs", 104), Endpoint("::1", 104)):
        assert not scope.allows(outside)


@pytest.mark.parametrize(
    "text",
    [
        "this is no TOML",
        HEAD,
        HEAD + '[targets]\nnetworks = ["10.0.0.1/24"]',
        HEAD + '[targets]\nnetworks = ["10.0.0.0/24"]\nnetwork = []',
        HEAD + '[targets]\nnetworks = ["10.0.0.0/24"]\n[extra]\n',
        HEAD + '[targets]\nnetworks = "10.0.0.0/24"',
        HEAD + '[targets]\nnetworks = ["10.0.0.0/24"]\nports = [0]',
        HEAD + '[targets]\nnetworks = ["10.0.0.0/24"]\nports = [true]',
        HEAD + '[targets]\nnetworks = ["10.0.0.0/24"]\nports = []',
        HEAD + '[targets]\nnetworks = ["10.0.0.0/24"]\n[allow]\nwrite_test = "yes"',
        HEAD + '[targets]\nnetworks = ["10.0.0.0/24"]\n[rate]\nconnections = 0',
        HEAD + '[targets]\nnetworks = ["10.0.0.0/24"]\n[rate]\nper_host = 1000',
        HEAD + '[targets]\nnetworks = ["224.0.0.1/32"]',
        HEAD + '[targets]\nnetworks = ["::ffff:10.0.0.1/128"]',
        HEAD.replace("until = 2026-12-31", "until = 2025-12-31") + '[targets]\nnetworks = ["10.0.0.0/24"]',
        HEAD.replace("until = 2026-12-31", 'until = "soon"') + '[targets]\nnetworks = ["10.0.0.0/24"]',
        HEAD.replace('authorised_by = "CISO"\n', "") + '[targets]\nnetworks = ["10.0.0.0/24"]',
        HEAD.replace('"CISO"', '" "') + '[targets]\nnetworks = ["10.0.0.0/24"]',
    ],
)
def test_what_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_scope(text.encode(), _nobody)


@pytest.mark.parametrize(
    ("first", "last"),
    [("2026-01-01", "2026-04-30"), ("2026-06-01", "2026-12-31"), ("2026-01-01", "2026-05-01T11:59:00Z")],
)
def test_a_scope_holds_only_in_its_time(tmp_path: Path, first: str, last: str) -> None:
    head = HEAD.replace("2026-01-01", first).replace("2026-12-31", last)
    with pytest.raises(RefusedForSafety):
        _read(tmp_path, 'networks = ["10.0.0.0/24"]', head=head)


def test_its_last_day_is_part_of_it(tmp_path: Path) -> None:
    _read(tmp_path, 'networks = ["10.0.0.0/24"]', head=HEAD.replace("2026-12-31", "2026-05-01"))


@pytest.mark.parametrize(
    "targets",
    [
        'networks = ["8.8.8.0/24"]',
        'networks = ["0.0.0.0/0"]',
        'networks = ["8.0.0.0/8"]\n[allow]\npublic_networks = ["8.0.0.0/8"]',
        'networks = ["8.8.8.0/24"]\n[allow]\npublic_networks = true',
        'networks = ["8.8.8.0/24"]\n[allow]\npublic_networks = ["8.8.8.0/25"]',
        'networks = ["172.0.0.0/8"]',
        'networks = ["2600::/64"]\n[allow]\npublic_networks = ["2600::/64"]',
        'networks = ["fd00::/64"]',
        'networks = ["64:ff9b::808:808/128"]',
    ],
)
def test_too_wide_or_public_without_a_line_is_refused(tmp_path: Path, targets: str) -> None:
    with pytest.raises(RefusedForSafety):
        _read(tmp_path, targets)


def test_public_networks_with_a_line_each(tmp_path: Path) -> None:
    scope = _read(tmp_path, 'networks = ["8.8.8.0/24"]\n[allow]\npublic_networks = ["8.8.8.0/24"]')
    assert scope.is_public
    assert not _read(tmp_path, 'networks = ["10.0.0.0/24"]').is_public


def test_a_name_that_leads_to_a_public_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedForSafety):
        _read(tmp_path, 'hosts = ["pacs"]', {"pacs": ["8.8.8.8"]})


def test_a_name_that_does_not_resolve_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable):
        _read(tmp_path, 'hosts = ["pacs"]')


def test_names_are_resolved_once() -> None:
    asked: list[str] = []

    def resolve(name: str) -> Sequence[str]:
        asked.append(name)
        return ["10.0.0.9"]

    scope = parse_scope((HEAD + '[targets]\nhosts = ["pacs"]').encode(), resolve)
    narrowed(scope, ["pacs"])
    assert scope.allows(Endpoint("10.0.0.9", 104))
    assert asked == ["pacs"]


def test_targets_must_lie_inside(tmp_path: Path) -> None:
    scope = _read(tmp_path, 'networks = ["10.1.0.0/24"]\nhosts = ["pacs"]', {"pacs": ["10.2.0.1"]})
    assert narrowed(scope, ["10.1.0.0/28", "10.2.0.1"]) == (ip_network("10.1.0.0/28"), ip_network("10.2.0.1/32"))
    for target in ("10.1.0.0/16", "10.3.0.1", "other", "0.0.0.0/0", "10.2.0.0/31"):
        with pytest.raises(RefusedForSafety):
            narrowed(scope, [target])


@pytest.mark.parametrize(
    ("text", "words", "status"),
    [
        (HEAD.replace("2026", "2020") + '[targets]\nnetworks = ["127.0.0.1/32"]', [], 3),
        ("nonsense", [], 2),
        (
            HEAD.replace("2026", "2020").replace("until = 2020", "until = 2099")
            + '[targets]\nnetworks = ["8.8.8.8/32"]',
            [],
            3,
        ),
        (HEAD.replace("until = 2026", "until = 2099") + '[targets]\nnetworks = ["127.0.0.1/32"]', ["127.0.0.2"], 3),
        (
            HEAD.replace("until = 2026", "until = 2099")
            + '[targets]\nnetworks = ["8.8.8.8/32"]\n[allow]\npublic_networks = ["8.8.8.8/32"]',
            [],
            3,
        ),
    ],
)
def test_the_command_refuses(tmp_path: Path, text: str, words: list[str], status: int) -> None:
    (tmp_path / "scope.toml").write_text(text)
    command = [*CLI, "assess", "exposure", "--scope", str(tmp_path / "scope.toml"), *words]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == status, done.stderr
    assert "defect" not in done.stderr


def test_errors_are_of_the_tree(tmp_path: Path) -> None:
    with pytest.raises(LeadglassError):
        read_scope(tmp_path / "absent.toml", NOW)
