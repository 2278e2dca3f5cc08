"""TOML and environment → one small frozen config for each room.

The file has a table for each: `[archive]`, `[dimse]`, `[web]`, `[sign_in]`, `[openid]`, `[inspection]` and
`[self_audit]`. `LEADGLASS_CONFIG` names it unless `--config` does.
"""

import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from leadglass.archive.disk import DEFAULT_RESERVE
from leadglass.archive.holdings import DEFAULT_MAX_ANSWERS, ArchiveConfig
from leadglass.archive.openid import OpenIdConfig
from leadglass.archive.sessions import SessionLimits
from leadglass.archive.suspension import DEFAULT_OBJECTS, DEFAULT_SECONDS, SuspensionLimits
from leadglass.crypto.tls import CertificateChain
from leadglass.errors import NotAvailable, UsageError
from leadglass.inspection.batch import Settings as EngineSettings
from leadglass.inspection.batch import engines_of
from leadglass.inspection.clamav import DEFAULT_LIMIT
from leadglass.inspection.engines import Engines
from leadglass.inspection.verdict import Findings
from leadglass.model import Role
from leadglass.server.dimse.session import DoorConfig
from leadglass.server.web.configuration import WebConfig

_Seconds = Annotated[float, Field(gt=0, le=3600)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArchiveTable(_Table):
    reserve_mib: Annotated[int, Field(ge=64)] = DEFAULT_RESERVE // 1024**2
    max_answers: Annotated[int, Field(ge=1, le=1_000_000)] = DEFAULT_MAX_ANSWERS

    def config(self) -> ArchiveConfig:
        return ArchiveConfig(reserve_bytes=self.reserve_mib * 1024**2, max_answers=self.max_answers)


class DimseTable(_Table):
    ae_title: Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$")] = "LEADGLASS"
    artim_seconds: _Seconds = 20.0
    idle_seconds: _Seconds = 120.0
    send_seconds: _Seconds = 120.0
    drain_seconds: _Seconds = 10.0
    processes: Annotated[int, Field(ge=0, le=256)] = 0
    associations: Annotated[int, Field(ge=1, le=10_000)] = 512
    associations_per_device: Annotated[int, Field(ge=1, le=10_000)] = 256
    strangers: Annotated[int, Field(ge=1, le=10_000)] = 512
    strangers_per_source: Annotated[int, Field(ge=1, le=10_000)] = 256

    def config(self) -> DoorConfig:
        return DoorConfig(**self.model_dump())


class SignInTable(_Table):
    idle_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = 30
    absolute_hours: Annotated[float, Field(gt=0, le=7 * 24)] = 12

    def limits(self) -> SessionLimits:
        """Whole seconds, and at least one."""
        return SessionLimits(
            idle=max(1, round(self.idle_minutes * 60)), absolute=max(1, round(self.absolute_hours * 3600))
        )


class OpenIdTable(_Table):
    issuer: Annotated[str, Field(pattern=r"^https://")]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret_file: Path | None = None
    name: str = "your organisation"
    ca: str = ""
    audience: str = ""
    user_claim: str = "preferred_username"
    role_claim: str = "roles"
    roles: dict[str, Literal["clinician", "steward", "administrator", "auditor"]] = {}
    site_claim: str = ""
    patient_id_claim: str = ""
    patient_issuer: str = ""
    seconds: Annotated[float, Field(gt=0, le=60)] = 5.0

    def config(self) -> OpenIdConfig:
        """Raises UsageError when the file with the secret cannot be read."""
        given = self.model_dump(exclude={"client_secret_file", "roles"})
        roles = {value: Role(role) for value, role in self.roles.items()}
        return OpenIdConfig(client_secret=self._secret(), roles=roles, **given)

    def _secret(self) -> str:
        try:
            return self.client_secret_file.read_text().strip() if self.client_secret_file else ""
        except OSError as error:
            raise UsageError(f"{self.client_secret_file} cannot be read: {error.strerror}.") from None


class WebTable(_Table):
    certificate: Path | None = None
    key: Path | None = None
    names: tuple[str, ...] = ()
    origins: tuple[Annotated[str, Field(pattern=r"^https://[^/*]+$")], ...] = ()
    connections: Annotated[int, Field(ge=1, le=100_000)] = 1024
    connections_per_source: Annotated[int, Field(ge=1, le=100_000)] = 256
    header_seconds: _Seconds = 20.0
    stall_seconds: _Seconds = 30.0
    idle_seconds: _Seconds = 75.0
    drain_seconds: _Seconds = 10.0
    threads: Annotated[int, Field(ge=1, le=1000)] = 40

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self

    def config(self) -> WebConfig:
        given = self.model_dump(exclude={"certificate", "key"})
        chain = CertificateChain(self.certificate, self.key) if self.certificate and self.key else None
        return WebConfig(chain=chain, **given)


class InspectionTable(_Table):
    """What reads along beside the inspection of everything that arrives, and when a device is shut out."""

    rules: bool = False
    extra_rules: tuple[Path, ...] = ()
    clamd: str = ""
    clamd_limit_mib: Annotated[int, Field(ge=1, le=4095)] = DEFAULT_LIMIT // 1024**2
    remove_private: bool = True
    suspend_after: Annotated[int, Field(ge=1, le=1_000_000)] = DEFAULT_OBJECTS
    suspend_within_hours: Annotated[float, Field(gt=0, le=24 * 365)] = DEFAULT_SECONDS / 3600

    def engines(self) -> Engines:
        """Raises UsageError for rules that cannot be read or do not compile."""
        settings = EngineSettings(
            self.rules or bool(self.extra_rules), self.extra_rules, self.clamd, self.clamd_limit_mib * 1024**2
        )
        engines = engines_of(settings)
        # Rules are compiled now, and not with the first object; clamd may come up later, and stores wait for it.
        with suppress(NotAvailable):
            engines.start(Findings()).close()
        return engines

    def suspension(self) -> SuspensionLimits:
        return SuspensionLimits(self.suspend_after, round(self.suspend_within_hours * 3600))


class SelfAuditTable(_Table):
    """How often the archive is looked at from outside, as a stranger would."""

    every_hours: Annotated[float, Field(ge=0.001, le=7 * 24)] = 24


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="LEADGLASS_", env_nested_delimiter="__", frozen=True, extra="ignore")

    archive: ArchiveTable = ArchiveTable()
    dimse: DimseTable = DimseTable()
    web: WebTable = WebTable()
    sign_in: SignInTable = SignInTable()
    openid: OpenIdTable | None = None
    inspection: InspectionTable = InspectionTable()
    self_audit: SelfAuditTable = SelfAuditTable()

    def local_config(self) -> ArchiveConfig:
        """For a command that opens the archive itself: nobody signs in to it."""
        inspection = self.inspection
        return replace(
            self.archive.config(),
            engines=inspection.engines(),
            suspension=inspection.suspension(),
            removes_private=inspection.remove_private,
        )

    def archive_config(self) -> ArchiveConfig:
        openid = None if self.openid is None else self.openid.config()
        return replace(self.local_config(), sessions=self.sign_in.limits(), openid=openid)


def load(path: Path | None) -> Settings:
    """Raises UsageError that names the setting, never its value."""
    tables: dict[str, Any] = {}
    if path is not None:
        try:
            tables = tomllib.loads(path.read_text())
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}.", "Give the right --config.") from None
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not UTF-8, as TOML is.") from None
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path} is not TOML: {error}.") from None
    unknown = sorted(set(tables) - set(Settings.model_fields))
    if unknown:
        raise UsageError(f"{path} has unknown tables: {', '.join(unknown)}.")
    try:
        return Settings(**tables)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UsageError(f"The configuration is not right: {wrong}.") from None
