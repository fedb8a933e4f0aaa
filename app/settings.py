"""What can be set, read in this one place: names, defaults, units and meanings."""

import difflib
import os
import typing
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import psycopg
from psycopg import conninfo

_PREFIX = "SERVICEBOOK_"
_NAMES_BY_USE = {"database_url": "DATABASE_URL"}  # a name that hosts give on their own
_READ_WHILE_INSTALLING = frozenset({"SERVICEBOOK_REQUIRE_GRAPHIQL"})

_YEAR = 31_536_000  # seconds
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=_YEAR)]
_SecondsOrNone = Annotated[float, msgspec.Meta(ge=0, le=_YEAR)]
_Size = Annotated[int, msgspec.Meta(ge=1, le=1000)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)]
_Rate = Annotated[int, msgspec.Meta(ge=1_000)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


def _like(pattern: str, example: str) -> msgspec.Meta:
    """Return what a text must look like, with an example for whoever gets it wrong."""
    return msgspec.Meta(pattern=pattern, examples=[example])


_HOST_AND_PORT = r"([^\s:/@?#]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}"
_LOGIN = r"([^\s:/@?#]*:[^\s/@?#]*@)?"
_Origin = Annotated[str, _like(r"^https?://[^\s/@?#]+/?$", "https://service.example.com")]
_Url = Annotated[str, _like(r"^https?://[^\s@?#]+$", "https://service.example.com/path")]
_Address = Annotated[str, _like(rf"^{_HOST_AND_PORT}$", "database.example.com:5432")]
_RedisAddress = Annotated[
    str, _like(rf"^(rediss?://)?{_HOST_AND_PORT}$", "rediss://cache.example.com:6379")
]
_AmqpAddress = Annotated[
    str, _like(rf"^(amqps?://)?{_HOST_AND_PORT}$", "amqps://queue.example.com:5671")
]
_RedisUrl = Annotated[
    str,
    _like(
        rf"^rediss?://{_LOGIN}[^\s/@?#]+(/[0-9]*)?(\?[^\s#]*)?$",
        "rediss://user:password@cache.example.com:6379",
    ),
]
_NatsUrl = Annotated[
    str,
    _like(
        r"^(nats|tls)://([^\s/@?#]+@)?[^\s/@?#:]+(:[0-9]{1,5})?$",
        "nats://user:password@nats.example.com:4222",
    ),
]
_ManagementUrl = Annotated[
    str,
    _like(
        rf"^https?://{_LOGIN}[^\s/@?#]+(/[^\s@?#]*)?$",
        "https://user:password@queue.example.com:15671",
    ),
]


class SettingsError(Exception):
    """The environment does not make settings; the text lists every problem."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("The settings are wrong: " + "; ".join(problems))
        self.problems = problems


def _about(
    meaning: str, *, unit: str = "", is_dsn: bool = False, is_secret: bool = False
) -> Mapping[str, Any]:
    return {
        "meaning": meaning,
        "unit": unit,
        "is_dsn": is_dsn,
        "is_hidden": is_dsn or is_secret,
    }


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set."""

    database_url: str | None = field(
        default=None,
        metadata=_about(
            "Connection string of a PostgreSQL 16 or newer. Without it an embedded server is run.",
            is_dsn=True,
        ),
    )
    data_directory: Path = field(
        default=Path(".data"),
        metadata=_about("Where a local run keeps its cluster, keys, token and written variables."),
    )
    host: str = field(default="127.0.0.1", metadata=_about("The address that the API listens on."))
    port: _Port = field(
        default=8000, metadata=_about("The port that the API listens on; 0 takes a free one.")
    )
    public_url: _Url | None = field(
        default=None,
        metadata=_about(
            "Where others reach this API: receivers of webhooks are told it."
            " Without it, http:// and the address that the API listens on.",
        ),
    )
    brokers: Path | None = field(
        default=None,
        metadata=_about(
            "TOML file with the Open Service Brokers whose offerings join the catalogue.",
        ),
    )
    broker_passwords: dict[str, str] | None = field(
        default=None,
        metadata=_about(
            "Passwords of those brokers that have no password_file, as JSON: the name of each"
            " broker, and its password.",
            is_secret=True,
        ),
    )
    catalogue: Path | None = field(
        default=None,
        metadata=_about("TOML file with the offerings. Without it, the one that is shipped."),
    )
    keyring: Path | None = field(
        default=None,
        metadata=_about(
            "File with the keys that seal credentials, made on the first run; all processes need"
            " the same. Without it, keyring.json in the data directory.",
        ),
    )
    audit_key: Path | None = field(
        default=None,
        metadata=_about(
            "File with the key that signs the log's checkpoints, made on the first run; all"
            " processes need the same. Without it, audit_key.pem in the data directory.",
        ),
    )
    audit_checkpoints: Path | None = field(
        default=None,
        metadata=_about(
            "File that signed checkpoints are appended to; best on another machine's disk."
            " Without it, checkpoints in the data directory.",
        ),
    )
    audit_webhook: _Url | None = field(
        default=None,
        metadata=_about(
            "Where signed checkpoints are posted to, so that others can tell if the log was changed"
            " later."
        ),
    )
    postgres_provider_dsn: str | None = field(
        default=None,
        metadata=_about(
            "Where the provider postgres makes databases: a PostgreSQL 16 or newer, as a role with"
            " CREATEDB and CREATEROLE. Without it, the embedded server, if that one runs.",
            is_dsn=True,
        ),
    )
    postgres_provider_address: _Address | None = field(
        default=None,
        metadata=_about(
            "host:port that credentials of provisioned databases name."
            " Without it, as in the provider's connection string.",
        ),
    )
    s3_provider_endpoint: _Origin | None = field(
        default=None,
        metadata=_about(
            "URL of the S3 where the provider s3 makes buckets; it needs IAM. Without it, the"
            " embedded one, if that one runs.",
        ),
    )
    s3_provider_iam_endpoint: _Origin | None = field(
        default=None,
        metadata=_about(
            "URL of its IAM. Without it, AWS' own at AWS, elsewhere the URL of the S3."
        ),
    )
    s3_provider_access_key: str | None = field(
        default=None,
        metadata=_about("Access key id of who makes buckets and users there."),
    )
    s3_provider_secret_key: str | None = field(
        default=None, metadata=_about("Its secret access key.", is_secret=True)
    )
    s3_provider_region: str = field(
        default="us-east-1", metadata=_about("The region that buckets are made in.")
    )
    s3_provider_address: _Origin | None = field(
        default=None,
        metadata=_about(
            "URL of the S3 that credentials of provisioned buckets name."
            " Without it, the one that the provider uses.",
        ),
    )
    embedded_s3: bool = field(
        default=True,
        metadata=_about(
            "Whether an object store is run beside the embedded PostgreSQL: true or false."
        ),
    )
    redis_provider_url: _RedisUrl | None = field(
        default=None,
        metadata=_about(
            "Where the provider redis makes users: redis://user:password@host:port of a Redis 7 or"
            " newer with an aclfile, as a user with all rights. Without it, there is no redis.",
            is_secret=True,
        ),
    )
    redis_provider_address: _RedisAddress | None = field(
        default=None,
        metadata=_about(
            "host:port that credentials of provisioned Redis name, after rediss:// for TLS."
            " Without it, as in the provider's URL.",
        ),
    )
    rabbitmq_provider_url: _ManagementUrl | None = field(
        default=None,
        metadata=_about(
            "Where the provider rabbitmq makes virtual hosts: http://user:password@host:port of"
            " the management API, as an administrator. Without it, there is no rabbitmq.",
            is_secret=True,
        ),
    )
    rabbitmq_provider_address: _AmqpAddress | None = field(
        default=None,
        metadata=_about(
            "host:port that credentials of provisioned RabbitMQ name, after amqps:// for TLS."
            " Without it, the host of the management API and port 5672.",
        ),
    )
    operation_timeout: _Seconds = field(
        default=1800.0,
        metadata=_about("How long a provider may take for one operation.", unit="seconds"),
    )
    deployment_timeout: _Seconds = field(
        default=3600.0, metadata=_about("How long a deployment may take.", unit="seconds")
    )
    removal_grace: _SecondsOrNone = field(
        default=0.0,
        metadata=_about("How long an accepted removal can be taken back.", unit="seconds"),
    )
    read_pool_size: _Size = field(
        default=8, metadata=_about("How many queries a process runs at a time.", unit="connections")
    )
    worker_concurrency: _Size = field(
        default=8, metadata=_about("How many tasks a worker runs at a time.", unit="tasks")
    )
    rebuild_processes: _Size = field(
        default=2,
        metadata=_about(
            "How many processes make the read models anew, beside the database's own work.",
            unit="processes",
        ),
    )
    rebuild_rate: _Rate | None = field(
        default=None,
        metadata=_about(
            "How much of the log they fold at most, so that others get their share."
            " Without it, as much as they can.",
            unit="events per second",
        ),
    )
    log_level: Literal["debug", "info", "warning", "error"] = field(
        default="info",
        metadata=_about("The least severity that is logged: debug, info, warning or error."),
    )
    allowed_origins: tuple[_Origin, ...] = field(
        default=(),
        metadata=_about(
            "Origins of other sites whose pages may use the API, separated by commas, such as"
            " https://console.example.com. Its own pages always may.",
        ),
    )
    limit_body: _Count = field(
        default=262_144,
        metadata=_about("How large a request, or a message of a WebSocket, may be.", unit="bytes"),
    )
    limit_tokens: _Count = field(
        default=2000, metadata=_about("How many tokens a GraphQL document may have.", unit="tokens")
    )
    limit_depth: _Count = field(
        default=12,
        metadata=_about("How deep an operation may be; introspection aside.", unit="levels"),
    )
    limit_fields: _Count = field(
        default=1000,
        metadata=_about("How many fields it may select, fragments written out.", unit="fields"),
    )
    limit_aliases: _Count = field(
        default=30, metadata=_about("How many aliases it may give.", unit="aliases")
    )
    limit_directives: _Count = field(
        default=50, metadata=_about("How many directives it may hold.", unit="directives")
    )
    limit_page: _Count = field(
        default=100, metadata=_about("How large a page of a list may be.", unit="items")
    )
    limit_errors: _Count = field(
        default=5, metadata=_about("How many errors an answer tells.", unit="errors")
    )
    limit_seconds: _Seconds = field(
        default=10.0,
        metadata=_about(
            "How long a request may take to come in, and then its operation.", unit="seconds"
        ),
    )
    limit_cost: _Count = field(
        default=1_000_000,
        metadata=_about("What an operation may cost: fields, times the items of their lists."),
    )
    limit_budget: _Count = field(
        default=20_000_000,
        metadata=_about("What the operations of a token may cost in a minute, in each process."),
    )
    limit_operations: _Count = field(
        default=100,
        metadata=_about(
            "How many operations may be under way over a WebSocket.", unit="operations"
        ),
    )
    websocket_init_timeout: _Seconds = field(
        default=5.0,
        metadata=_about("How long a WebSocket client may take to say who it is.", unit="seconds"),
    )
    token_check_interval: _Seconds = field(
        default=30.0,
        metadata=_about(
            "How often the tokens of open streams are looked at again.", unit="seconds"
        ),
    )
    beta_ended: bool = field(
        default=False,
        metadata=_about(
            "Whether everybody may use what is in Beta, without signing up: true or false."
        ),
    )
    oidc_issuer: _Url | None = field(
        default=None,
        metadata=_about(
            "URL of the OpenID provider whose tokens are taken beside API tokens, exactly as its"
            " tokens name it; its keys are found by its configuration.",
        ),
    )
    oidc_audience: str | None = field(
        default=None,
        metadata=_about("What its tokens must be meant for: the name of this API there."),
    )
    oidc_roles_claim: str = field(
        default="roles",
        metadata=_about(
            "The claim of its tokens that may hold OPERATOR or AUDITOR; roles in projects come"
            " from memberships.",
        ),
    )
    nats_url: _NatsUrl | None = field(
        default=None,
        metadata=_about(
            "Where `servicebook events publish` publishes: a NATS with JetStream, as"
            " nats://[user:password@]host:4222, or tls://….",
            is_secret=True,
        ),
    )
    introspection: bool = field(
        default=True,
        metadata=_about(
            "Whether the schema can be asked for, with a token or without: true or false."
            " The explorer needs it.",
        ),
    )
    trusted_documents: Path | None = field(
        default=None,
        metadata=_about(
            "JSON file with operations by the SHA-256 of their text, which clients may name by"
            " `documentId`. It is read at the start.",
        ),
    )
    only_trusted_documents: bool = field(
        default=False,
        metadata=_about(
            "Whether other operations than those are refused: true or false. The explorer works"
            " then as far as its operations are listed.",
        ),
    )

    @property
    def own_url(self) -> str:
        """Where others reach this API."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def cluster_directory(self) -> Path:
        """The data of the embedded PostgreSQL."""
        return self.data_directory / "postgres"

    @property
    def storage_directory(self) -> Path:
        """The data of the embedded object store."""
        return self.data_directory / "storage"

    @property
    def keyring_file(self) -> Path:
        """The keys that seal credentials."""
        return self.keyring or self.data_directory / "keyring.json"

    @property
    def audit_key_file(self) -> Path:
        """The key that signs checkpoints."""
        return self.audit_key or self.data_directory / "audit_key.pem"

    @property
    def audit_checkpoints_file(self) -> Path:
        """Where checkpoints are appended."""
        return self.audit_checkpoints or self.data_directory / "checkpoints"

    @property
    def token_file(self) -> Path:
        """The first token of a local run."""
        return self.data_directory / "token"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raises SettingsError with everything that is wrong.

    An empty value counts as not set.
    """
    variables = {_variable(entry): entry for entry in fields(Settings)}
    values: dict[str, Any] = {}
    problems = _unknown(environ, known=tuple(variables))
    for variable, entry in variables.items():
        if not environ.get(variable):
            continue
        try:
            values[entry.name] = _converted(entry, environ[variable])
        except (msgspec.ValidationError, psycopg.ProgrammingError) as error:
            problems.append(f"{variable}: {_problem(entry, error)}")
    if values.get("only_trusted_documents") and "trusted_documents" not in values:
        problems.append(
            "SERVICEBOOK_ONLY_TRUSTED_DOCUMENTS needs SERVICEBOOK_TRUSTED_DOCUMENTS,"
            " which is not set"
        )
    if (values.get("oidc_issuer") is None) != (values.get("oidc_audience") is None):
        problems.append("SERVICEBOOK_OIDC_ISSUER and SERVICEBOOK_OIDC_AUDIENCE go together")
    if problems:
        raise SettingsError(tuple(problems))
    return Settings(**values)


def describe(settings: Settings) -> str:
    """Explain every setting, with its value; connection strings stay hidden."""
    return "\n".join(_described(entry, settings) for entry in fields(settings))


def _variable(entry: Field[Any]) -> str:
    return _NAMES_BY_USE.get(entry.name, _PREFIX + entry.name.upper())


def _unknown(environ: Mapping[str, str], known: tuple[str, ...]) -> list[str]:
    problems = []
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in {*known, *_READ_WHILE_INSTALLING}:
            close = difflib.get_close_matches(name, known, n=1)
            problems.append(f"{name} is not known" + "".join(f", {it} is" for it in close))
    return problems


def _converted(entry: Field[Any], text: str) -> object:
    hint = typing.get_type_hints(Settings, include_extras=True)[entry.name]
    if entry.metadata["is_dsn"]:
        conninfo.conninfo_to_dict(text)
        return text
    if hint in (Path, Path | None):
        return Path(text)
    if entry.name == "broker_passwords":
        return _passwords(text)
    if typing.get_origin(hint) is tuple:
        parts = [part.strip().rstrip("/") for part in text.split(",") if part.strip()]
        return msgspec.convert(parts, type=hint)
    return msgspec.convert(text, type=hint, strict=False)


def _problem(entry: Field[Any], error: Exception) -> str:
    """Say what is expected; an example is easier to read than a pattern."""
    hint = typing.get_type_hints(Settings, include_extras=True)[entry.name]
    example = _example(hint)
    return str(error).strip() if example is None else f"expected something like {example}"


def _example(hint: object) -> str | None:
    """Return the example of a type, or of one that it is made of."""
    for meta in getattr(hint, "__metadata__", ()):
        if meta.examples:
            return str(meta.examples[0])
    found = (_example(part) for part in typing.get_args(hint))
    return next((each for each in found if each is not None), None)


def _passwords(text: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError:
        pass
    raise msgspec.ValidationError('expected JSON such as {"search": "a password"}')


def _described(entry: Field[Any], settings: Settings) -> str:
    value = getattr(settings, entry.name)
    shown = "(hidden)" if entry.metadata["is_hidden"] and value else _shown(value)
    unit = f" {entry.metadata['unit']}" if entry.metadata["unit"] else ""
    return (
        f"{_variable(entry)} = {shown}{unit}\n"
        f"    {entry.metadata['meaning']}\n"
        f"    Default: {_shown(entry.default)}{unit}\n"
    )


def _shown(value: object) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value) or "(none)"
    return f"{value:g}" if isinstance(value, float) else str(value)
