"""Servers that this Kubernetes does not run: the spec names them, nothing is found."""

from collections.abc import Sequence

from ..api import BudgetServer, PgPool
from ..api import Server as ServerSpec
from .cpu import spec_cpu
from .model import Cpu, Discovery, Server
from .names import ledger_name

_NO_CPU = "the CPUs of a server outside this cluster cannot be discovered: set cpu on it, or budget.cpu"


def discover_static(pool: PgPool, servers: Sequence[ServerSpec]) -> Discovery:
    """The servers of spec.database.servers. Whether a primary is one, only the server itself can say."""
    return Discovery(
        tuple(sorted((_server(pool, server) for server in servers), key=lambda found: found.name))
    )


def _server(pool: PgPool, server: ServerSpec) -> Server:
    cpu = spec_cpu(pool.spec.budget.cpu, server.cpu) or Cpu(None, None, _NO_CPU)
    return Server(
        name=ledger_name(server.host, server.port),
        host=server.host,
        port=server.port,
        role=server.role,
        cpu=cpu.amount,
        cpu_source=cpu.source,
        cpu_problem=cpu.problem,
        ref=BudgetServer(host=server.host, port=server.port),
    )
