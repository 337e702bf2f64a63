"""Settings of a process. Open this file to learn or add an environment variable; nothing else reads them.

Each process has one class derived from `ProcessSettings`. A field's docstring is its reference entry, its name
carries the unit, and secrets are `SecretStr` or paths of mounted files. A derived class sets its own `env_prefix`;
the fields declared here keep their names.

    class Settings(ProcessSettings):
        model_config = SettingsConfigDict(env_prefix="ORDERMESH_NETSUITE_")
        base_url: str                       # ORDERMESH_NETSUITE_BASE_URL
        client_secret_file: Path            # ORDERMESH_NETSUITE_CLIENT_SECRET_FILE

    settings = load_settings(Settings)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Self, TypeVar, get_args

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.common.certificates import CertificateFiles

PREFIX = "ORDERMESH_"
KEY_URL = r"(https://|http://(127\.0\.0\.1|localhost)[:/])[^,\s@]+"


class Environment(StrEnum):
    """Where a process runs."""

    DEVELOPMENT = "development"
    """A laptop: readable logs, gRPC reflection, embedded stores."""
    PRODUCTION = "production"
    """Everything else."""


class ProcessSettings(BaseSettings):
    """What every process may be told; all of it has a default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    listen: str = Field(default="127.0.0.1:0", validation_alias="ORDERMESH_LISTEN", pattern=r"^.*:\d{1,5}$")
    """`host:port` of the process's server; port 0 takes a free one. `[::]:50051` in a container."""
    environment: Environment = Field(default=Environment.PRODUCTION, validation_alias="ORDERMESH_ENVIRONMENT")
    """`development` turns on readable logs and gRPC reflection; never set it on a shared system."""
    tls_certificate_file: Path | None = Field(default=None, validation_alias="ORDERMESH_TLS_CERTIFICATE_FILE")
    """PEM file with the process's certificate and its chain; read again when it changes. With the two below, gRPC is
    mutual TLS and the gateway serves HTTPS. Unset: plain text, outside of development on loopback only."""
    tls_key_file: Path | None = Field(default=None, validation_alias="ORDERMESH_TLS_KEY_FILE")
    """Secret PEM file: the private key of that certificate."""
    tls_ca_file: Path | None = Field(default=None, validation_alias="ORDERMESH_TLS_CA_FILE")
    """PEM file with the authorities whose certificates are believed, of servers and of callers."""
    tls_peers: str = Field(
        default="gateway,customer,product,order,invoice",
        validation_alias="ORDERMESH_TLS_PEERS",
        pattern=r"^[^,\s]+(,[^,\s]+)*$",
    )
    """Names, with commas between, one of which a caller's certificate must have (subject alternative name)."""
    health_listen: str = Field(
        default="", validation_alias="ORDERMESH_HEALTH_LISTEN", pattern=r"^(.*:\d{1,5})?$"
    )
    """`host:port` where health, and nothing else, is told in plain text, for probes that know no TLS. Empty: nowhere
    but on the ordinary port."""
    metrics_listen: str = Field(
        default="", validation_alias="ORDERMESH_METRICS_LISTEN", pattern=r"^(.*:\d{1,5})?$"
    )
    """`host:port` where metrics, and nothing else, are told at `/metrics` for Prometheus. With certificates over mutual
    TLS, else in plain text, outside of development on loopback only. Empty: nowhere."""
    metrics_plain_text: bool = Field(default=False, validation_alias="ORDERMESH_METRICS_PLAIN_TEXT")
    """`true` tells metrics in plain text whatever else is set, also beyond this machine: for a network where rules say
    who may reach the port. Metrics hold names of methods, systems and states, and no data of records."""
    topology_file: Path | None = Field(default=None, validation_alias="ORDERMESH_TOPOLOGY_FILE")
    """TOML file that names services, outside systems and routing.
    Unset: services under their DNS names, no systems."""
    jwks_file: Path | None = Field(default=None, validation_alias="ORDERMESH_JWKS_FILE")
    """JSON file with the public keys that tokens are verified with; read again when it changes.
    Unset: no token is valid."""
    jwks_urls: str = Field(
        default="",
        validation_alias="ORDERMESH_JWKS_URLS",
        pattern=rf"^({KEY_URL}(,{KEY_URL})*)?$",
    )
    """Where issuers publish their public keys, with commas between; read every five minutes, and soon when a token
    names an unknown key. Nothing else is ever asked for keys. HTTPS only, save on this machine."""
    issuer: str = Field(default="https://issuer.ordermesh.local", validation_alias="ORDERMESH_ISSUER")
    """Claim `iss` that a token must have."""
    audience: str = Field(default="ordermesh", validation_alias="ORDERMESH_AUDIENCE")
    """Claim `aud` that a token must contain."""
    mesh_key_file: Path | None = Field(default=None, validation_alias="ORDERMESH_MESH_KEY_FILE")
    """Secret JSON file: the private key (one JWK) with which a process signs its own short-lived tokens."""
    database_url: SecretStr | None = Field(default=None, validation_alias="ORDERMESH_DATABASE_URL")
    """`postgresql+asyncpg://…` for all services, one schema each. Holds a password."""
    customer_database_url: SecretStr | None = Field(
        default=None, validation_alias="ORDERMESH_CUSTOMER_DATABASE_URL"
    )
    """The customer service's own database; takes precedence over ORDERMESH_DATABASE_URL."""
    product_database_url: SecretStr | None = Field(
        default=None, validation_alias="ORDERMESH_PRODUCT_DATABASE_URL"
    )
    """The product service's own database; takes precedence over ORDERMESH_DATABASE_URL."""
    order_database_url: SecretStr | None = Field(
        default=None, validation_alias="ORDERMESH_ORDER_DATABASE_URL"
    )
    """The order service's own database; takes precedence over ORDERMESH_DATABASE_URL."""
    invoice_database_url: SecretStr | None = Field(
        default=None, validation_alias="ORDERMESH_INVOICE_DATABASE_URL"
    )
    """The invoice service's own database; takes precedence over ORDERMESH_DATABASE_URL."""
    redis_url: SecretStr | None = Field(default=None, validation_alias="ORDERMESH_REDIS_URL")
    """`redis://…`; may be unset or out of reach at any time: everything is slower then, nothing is lost. Its user needs
    `INFO`, by which a restart is noticed."""
    log_level: str = Field(
        default="info", validation_alias="ORDERMESH_LOG_LEVEL", pattern="(?i)^(debug|info|warning|error)$"
    )
    """`debug`, `info`, `warning` or `error`."""
    concurrent_rpcs_max: int = Field(
        default=1000, validation_alias="ORDERMESH_CONCURRENT_RPCS_MAX", ge=1, le=100_000
    )
    """Calls a gRPC server runs at a time; further ones are refused at once and may be repeated."""
    bulk_rpcs_max: int = Field(default=4, validation_alias="ORDERMESH_BULK_RPCS_MAX", ge=1, le=1000)
    """Of these, lists, exports and replays of many at a time; further ones wait. Keep it below the connections to the
    database, so that a place stays for orders."""
    drain_seconds: float = Field(default=20.0, validation_alias="ORDERMESH_DRAIN_SECONDS", ge=0, le=600)
    """Time for running calls after SIGTERM; keep it below the pod's termination grace period."""
    otlp_endpoint: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Collector that traces are sent to over HTTP. Unset: trace context is passed on, nothing is recorded."""
    sample_ratio: float = Field(default=0.01, validation_alias="OTEL_TRACES_SAMPLER_ARG", ge=0, le=1)
    """Share of traces recorded when the caller has not decided, 0 to 1."""

    def database_url_of(self, service: str) -> str | None:
        """Database of `customer`, `product`, `order` or `invoice`: its own, else the common one."""
        own = {
            "customer": self.customer_database_url,
            "product": self.product_database_url,
            "order": self.order_database_url,
            "invoice": self.invoice_database_url,
        }[service]
        url = own or self.database_url
        return url.get_secret_value() if url else None

    @model_validator(mode="after")
    def _is_closed(self) -> Self:
        """Half a certificate is none, and plain text stays on the machine."""
        files = (self.tls_certificate_file, self.tls_key_file, self.tls_ca_file)
        if any(files) and not all(files):
            raise ValueError("ORDERMESH_TLS_CERTIFICATE_FILE, _KEY_FILE and _CA_FILE go together")
        if not any(files) and not self.in_development and not _is_loopback(self.listen):
            raise ValueError(
                "ORDERMESH_LISTEN: plain text is for loopback and development; "
                "set ORDERMESH_TLS_CERTIFICATE_FILE, ORDERMESH_TLS_KEY_FILE and ORDERMESH_TLS_CA_FILE"
            )
        told_here = not self.metrics_listen or _is_loopback(self.metrics_listen)
        if not (any(files) or self.in_development or self.metrics_plain_text or told_here):
            raise ValueError(
                "ORDERMESH_METRICS_LISTEN: plain text is for loopback and development; "
                "set certificates, or ORDERMESH_METRICS_PLAIN_TEXT=true where the network keeps strangers out"
            )
        return self

    @property
    def certificate_files(self) -> CertificateFiles | None:
        """None where the process speaks plain text."""
        if self.tls_certificate_file is None or self.tls_key_file is None or self.tls_ca_file is None:
            return None
        return CertificateFiles(self.tls_certificate_file, self.tls_key_file, self.tls_ca_file)

    @property
    def in_development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT


SettingsT = TypeVar("SettingsT", bound=ProcessSettings)


def load_settings(settings_class: type[SettingsT]) -> SettingsT:
    """Settings from the environment; ends the process with one line per problem, without values."""
    try:
        return settings_class()
    except ValidationError as error:
        problems = [
            ": ".join(filter(None, [_variable_at(settings_class, entry["loc"]), _told(entry["msg"])]))
            for entry in error.errors()
        ]
        raise SystemExit("settings cannot be used:\n  " + "\n  ".join(problems)) from None


@dataclass(frozen=True, slots=True)
class SettingEntry:
    """One line of the settings reference."""

    variable: str
    """Name in the environment."""
    field: str
    kind: str
    """Type as written in Python."""
    default: str
    """Empty when unset by default, `required` when there is none."""
    secret: bool
    text: str


def settings_reference(settings_class: type[ProcessSettings]) -> Sequence[SettingEntry]:
    """Every setting of a process, in order of declaration; a page and a test are made from it."""
    return [_entry(settings_class, name, info) for name, info in settings_class.model_fields.items()]


def read_secret(path: Path) -> str:
    """A mounted secret without the newline editors leave behind. Read it when needed: mounts are rotated."""
    return path.read_text(encoding="utf-8").strip()


def _told(message: str) -> str:
    """Our own words without the library's."""
    return message.removeprefix("Value error, ")


def _is_loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _entry(settings_class: type[ProcessSettings], name: str, info: FieldInfo) -> SettingEntry:
    names = [getattr(part, "__name__", str(part)) for part in get_args(info.annotation) or (info.annotation,)]
    kind = " | ".join(part for part in names if part != "NoneType")
    text = " ".join((info.description or "").split())
    default = "required" if info.is_required() else "" if info.default is None else str(info.default)
    secret = kind == "SecretStr" or text.startswith("Secret ")
    return SettingEntry(_variable(settings_class, name), name, kind, default, secret, text)


def _variable(settings_class: type[ProcessSettings], name: str) -> str:
    alias = settings_class.model_fields[name].validation_alias
    prefix = settings_class.model_config.get("env_prefix", "")
    return alias if isinstance(alias, str) else f"{prefix}{name}".upper()


def _variable_at(settings_class: type[ProcessSettings], location: Sequence[int | str]) -> str:
    """Name of the variable an error points at; pydantic names fields by alias or by name."""
    head = str(location[0]) if location else ""
    return _variable(settings_class, head) if head in settings_class.model_fields else head
