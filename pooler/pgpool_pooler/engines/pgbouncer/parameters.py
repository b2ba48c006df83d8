"""The PgBouncer settings that a user may choose, by PgBouncer's own names.

Source of names, units and defaults: PgBouncer's doc/config.md and src/main.c. What is not here is decided
elsewhere: sizes by the budget, times by spec.timeouts, TLS and users by spec.tls and spec.auth, and files,
addresses, log destinations and SQL by the agent. Two are left out because they would break the product:
server_reset_query_always (DISCARD ALL in transaction mode undoes client_connection_check_interval, which
bounds the life of abandoned backends) and disable_pqexec (PgBouncer's console speaks that protocol).
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_MAX_CLIENT_CONN = 5000
"""Clients per pod when max_client_conn is not set (PgBouncer's own 100 is too small for a pooler's pod)."""

NEEDS_RESTART = frozenset({"listen_backlog", "pkt_buf", "track_extra_parameters"})
"""Settings that PgBouncer reads at its start only (CF_NO_RELOAD in src/main.c): RELOAD does nothing."""

_DAY = 86400
_NAME = r"[A-Za-z_][A-Za-z0-9_.]*"

Seconds = Annotated[int, Field(ge=0, le=7 * _DAY)]
NameList = Annotated[str, Field(pattern=rf"^{_NAME}( ?, ?{_NAME})*$", max_length=1024)]


class PgBouncerParameters(BaseModel):
    """PgBouncer's own settings, by its own names. What is not set has the default given here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    max_client_conn: int | None = Field(
        None, ge=1, le=100_000, description="Clients per pod; more are refused. 5000 if not set."
    )
    max_db_client_connections: int | None = Field(
        None, ge=0, le=100_000, description="Clients per pod and database; 0 is no limit. Default: 0."
    )
    max_user_client_connections: int | None = Field(
        None, ge=0, le=100_000, description="Clients per pod and user; 0 is no limit. Default: 0."
    )
    max_prepared_statements: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="Prepared statements kept on each backend, so that clients can use them in transaction "
        "and statement mode; 0 switches this off. Default: 200.",
    )
    server_lifetime: int | None = Field(
        None,
        ge=1,
        le=7 * _DAY,
        description="Seconds after which an idle backend is replaced by a new one. Default: 3600.",
    )
    server_idle_timeout: Seconds | None = Field(
        None, description="Seconds after which an idle backend is closed; 0 is never. Default: 600."
    )
    server_check_delay: Seconds | None = Field(
        None,
        description="Seconds that an idle backend is reused without being tested first. Default: 30.",
    )
    server_round_robin: bool | None = Field(
        None,
        description="Use backends in turn instead of the one used last. Default: false.",
    )
    server_fast_close: bool | None = Field(
        None,
        description="In session mode, close a backend that is to be replaced at the end of its transaction, "
        "not of its session. Default: false.",
    )
    transaction_timeout: Seconds | None = Field(
        None,
        description="Seconds after which a transaction is cut off with its client; 0 is never. Default: 0.",
    )
    cancel_wait_timeout: Seconds | None = Field(
        None,
        description="Seconds that a cancel request may wait for a connection; 0 is no limit. Default: 10.",
    )
    query_wait_notify: Seconds | None = Field(
        None,
        description="Seconds in the queue after which a client gets a notice; 0 is never. Default: 5.",
    )
    ignore_startup_parameters: NameList | None = Field(
        None,
        description="Startup parameters that clients may send and PgBouncer ignores, comma-separated, besides "
        "extra_float_digits and options, which it always ignores. Default: none.",
    )
    track_extra_parameters: NameList | None = Field(
        None,
        description="Session parameters that follow the client from backend to backend, comma-separated; "
        "only those that PostgreSQL reports. Default: IntervalStyle. A change restarts the engine, in all pods "
        "at once: clients are disconnected as when a pod drains.",
    )
    application_name_add_host: bool | None = Field(
        None,
        description="Append the client's address and port to its application_name. Default: false.",
    )
    stats_period: int | None = Field(
        None, ge=1, le=_DAY, description="Seconds between updates of the averages. Default: 60."
    )
    log_stats: bool | None = Field(None, description="Log the averages every stats_period. Default: false.")
    log_connections: bool | None = Field(None, description="Log each login. Default: false.")
    log_disconnections: bool | None = Field(
        None,
        description="Without effect: each disconnection is logged with its reason, where a failed login shows.",
    )
    log_pooler_errors: bool | None = Field(
        None, description="Log the error messages that the pooler sends to clients. Default: true."
    )
    verbose: int | None = Field(
        None, ge=0, le=2, description="How much is logged beyond the normal: 0, 1 or 2. Default: 0."
    )
    dns_max_ttl: Seconds | None = Field(
        None, description="Seconds that a resolved host name is kept at most. Default: 15."
    )
    dns_nxdomain_ttl: Seconds | None = Field(
        None, description="Seconds that a failed look-up of a host name is kept. Default: 15."
    )
    tcp_keepalive: bool | None = Field(None, description="TCP keepalive on all connections. Default: true.")
    tcp_keepcnt: int | None = Field(
        None, ge=0, le=127, description="Keepalive probes before giving up; 0 is the kernel's. Default: 3."
    )
    tcp_keepidle: int | None = Field(
        None,
        ge=0,
        le=32_767,
        description="Idle seconds before the first probe; 0 is the kernel's. Default: "
        "timeouts.deadPeerSeconds.",
    )
    tcp_keepintvl: int | None = Field(
        None, ge=0, le=32_767, description="Seconds between keepalive probes; 0 is the kernel's. Default: 1."
    )
    tcp_defer_accept: bool | None = Field(
        None,
        description="Let the kernel hand a connection over only when the client has sent something. "
        "Default: true.",
    )
    tcp_socket_buffer: int | None = Field(
        None,
        ge=0,
        le=16_777_216,
        description="Bytes of the kernel's socket buffers; 0 is the kernel's. Default: 0.",
    )
    listen_backlog: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="Connections that the kernel queues until they are accepted. Default: 128. A "
        "change restarts the engine, in all pods at once: clients are disconnected as when a pod drains.",
    )
    pkt_buf: int | None = Field(
        None,
        ge=1024,
        le=1_048_576,
        description="Bytes of a packet buffer, one for each busy connection. Default: 4096. A change "
        "restarts the engine, in all pods at once: clients are disconnected as when a pod drains.",
    )
    max_packet_size: int | None = Field(
        None,
        ge=1024,
        le=2_147_483_647,
        description="Bytes of the longest protocol packet that is let through. Default: 2147483647.",
    )
    sbuf_loopcnt: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Reads from one connection before the others have their turn; 0 is no limit. Default: 5.",
    )

    def settings(self) -> dict[str, str]:
        """What was set, as values for pgbouncer.ini, and max_client_conn in any case."""
        chosen = {"max_client_conn": DEFAULT_MAX_CLIENT_CONN} | self.model_dump(exclude_none=True)
        return {name: _ini(value) for name, value in chosen.items()}


def _ini(value: bool | int | str) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
