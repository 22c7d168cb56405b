"""What the provisioner is told by its environment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..fetch.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class SettingsError(Exception):
    """The environment is not usable; the message names every problem at once, one a line."""


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """What every machine and volume of this provisioner is made with."""

    image: str
    """AMI id of the boot image (BOOT_IMAGE_ID)."""
    instance_type: str
    volume_gib: int
    zone: str | None
    """None: the subnet's, or else the first one that the region names."""
    subnet: str | None
    security_groups: tuple[str, ...]
    launch_seconds: float
    """How long a machine that cannot be launched or attached is tried again."""
    change_seconds: float
    """How long EC2 may take over a change of state, such as a termination."""


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """When a machine counts as dead, and when replacing it stops making sense."""

    heartbeat_seconds: float
    window_seconds: float
    """No heartbeat for this long raises the doubt; only failed probes settle it (HEAL-7)."""
    probes: int
    probe_spacing_seconds: float
    probe_timeout_seconds: float
    heal_attempts: int
    """So many replacements in a row may die before the workspace fails."""
    heal_backoff_seconds: float
    """Wait before the second replacement; it doubles with each further one."""
    stable_seconds: float
    """A machine that lived this long after its boot ends the row of deaths."""


@dataclass(frozen=True, slots=True)
class Settings:
    region: str
    admin_token: str
    public_url: str
    """How machines reach this provisioner."""
    database_url: str
    template_host: str
    boot_timeout_seconds: float
    fetch_limits: Mapping[str, Any]
    """Handed to machines as they are (CHN-8)."""
    artifact_bucket: str | None
    """Where templates are published for the transport `object`, which there is not without it. This program needs
    GetObject, PutObject, DeleteObject and ListBucket on it."""
    machines: MachineSettings
    health: HealthSettings

    def __repr__(self) -> str:
        return f"Settings(public_url={self.public_url!r})"


class _Reader:
    """Reads one variable after another and keeps what was wrong with each."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def text(self, name: str, default: str | None = None, *, fallback: str | None = None) -> str:
        value = self._environment.get(name, "").strip()
        if not value and fallback:
            value = self._environment.get(fallback, "").strip()
        if value:
            return value
        if default is None:
            self.problems.append(f"{name} is not set")
            return ""
        return default

    def _parsed(self, name: str, default: float, rule: str, parse: Callable[[str], float]) -> float:
        value = self.text(name, "")
        if not value:
            return default
        try:
            number = parse(value)
        except ValueError:
            number = -1
        if not 0 < number < 1e9:
            self.problems.append(f"{name} must be {rule}, but is {value!r}")
            return default
        return number

    def seconds(self, name: str, default: float) -> float:
        return self._parsed(name, default, "a number of seconds above 0", float)

    def count(self, name: str, default: int) -> int:
        return int(self._parsed(name, default, "a whole number above 0", int))

    def url(self, name: str) -> str:
        value = self.text(name)
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            self.problems.append(f"{name} must be an http(s) URL with neither query nor fragment")
        if parts.username is not None:
            self.problems.append(f"{name} must not carry credentials")
        return value.rstrip("/")

    def mapping(self, name: str) -> Mapping[str, Any]:
        value = self.text(name, "{}")
        try:
            loaded = json.loads(value)
        except ValueError:
            loaded = None
        if not isinstance(loaded, dict):
            self.problems.append(f"{name} must be a JSON object")
            return {}
        return loaded

    def limits(self, name: str) -> Mapping[str, Any]:
        overrides = self.mapping(name)
        try:
            Limits.with_overrides(overrides)
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
        return overrides

    def database(self, name: str) -> str:
        value = self.text(name, "sqlite:///provisioner.sqlite3")
        scheme, _, rest = value.partition("://")
        if scheme.split("+")[0] not in {"sqlite", "postgresql"}:
            self.problems.append(f"{name} must begin with sqlite:/// or postgresql://")
        elif scheme.startswith("sqlite") and rest.lstrip("/") in {"", ":memory:"}:
            self.problems.append(
                f"{name} names no file; state must survive a restart: sqlite:////path/to/file"
            )
        return value


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises SettingsError with every problem found."""
    read = _Reader(environment)
    heartbeat = read.seconds("HEARTBEAT_SECONDS", 15)
    window = read.seconds("HEARTBEAT_WINDOW_SECONDS", 4 * heartbeat)
    if window <= heartbeat:
        read.problems.append("HEARTBEAT_WINDOW_SECONDS must be longer than HEARTBEAT_SECONDS")
    settings = Settings(
        region=read.text("AWS_REGION", fallback="AWS_DEFAULT_REGION"),
        admin_token=read.text("PROVISIONER_ADMIN_TOKEN"),
        public_url=read.url("PROVISIONER_PUBLIC_URL"),
        database_url=read.database("PROVISIONER_DATABASE_URL"),
        template_host=read.url("TEMPLATE_HOST_URL"),
        boot_timeout_seconds=read.seconds("BOOT_TIMEOUT_SECONDS", 600),
        fetch_limits=read.limits("FETCH_LIMITS"),
        artifact_bucket=read.text("ARTIFACT_BUCKET", "") or None,
        machines=MachineSettings(
            image=read.text("BOOT_IMAGE_ID"),
            instance_type=read.text("MACHINE_INSTANCE_TYPE", "t3.small"),
            volume_gib=read.count("VOLUME_GIB", 10),
            zone=read.text("MACHINE_AVAILABILITY_ZONE", "") or None,
            subnet=read.text("MACHINE_SUBNET_ID", "") or None,
            security_groups=tuple(read.text("MACHINE_SECURITY_GROUP_IDS", "").replace(",", " ").split()),
            launch_seconds=read.seconds("LAUNCH_TIMEOUT_SECONDS", 120),
            change_seconds=read.seconds("MACHINE_CHANGE_TIMEOUT_SECONDS", 300),
        ),
        health=HealthSettings(
            heartbeat_seconds=heartbeat,
            window_seconds=window,
            probes=read.count("HEALTH_PROBES", 3),
            probe_spacing_seconds=read.seconds("HEALTH_PROBE_SPACING_SECONDS", heartbeat),
            probe_timeout_seconds=read.seconds("HEALTH_PROBE_TIMEOUT_SECONDS", 2),
            heal_attempts=read.count("HEAL_ATTEMPTS", 3),
            heal_backoff_seconds=read.seconds("HEAL_BACKOFF_SECONDS", heartbeat),
            stable_seconds=read.seconds("HEAL_STABLE_SECONDS", 5 * window),
        ),
    )
    if read.problems:
        raise SettingsError("\n".join(read.problems))
    return settings
