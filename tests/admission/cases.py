"""Pools that the API server must accept, and mistakes that it must refuse in words that help."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

MINIMAL: dict[str, Any] = {
    "metadata": {"name": "app"},
    "spec": {
        "database": {"cluster": {"provider": "patroni", "name": "main"}},
        "databases": [{"name": "app"}],
        "auth": {"userSecrets": [{"name": "main-app"}]},
        "write": {},
        "read": {},
    },
}

EXTERNAL: dict[str, Any] = {
    "metadata": {"name": "shop"},
    "spec": {
        "database": {"servers": [{"host": "db1.example.com", "cpu": 16}]},
        "databases": [{"name": "shop"}],
        "auth": {"userSecrets": [{"name": "shop-user"}]},
        "tls": {"server": {"secretName": "db1-ca"}},
        "write": {},
    },
}

COMPLETE: dict[str, Any] = {
    "metadata": {"name": "complete"},
    "spec": {
        "database": {
            "cluster": {
                "provider": "patroni",
                "name": "main",
                "port": 5432,
                "container": "postgres",
                "matchLabels": {"cluster-name": "main"},
            }
        },
        "databases": [{"name": "app", "dbname": "app_v2", "poolMode": "session", "maxPercent": 50}],
        "auth": {
            "userSecrets": [{"name": "main-app"}, {"name": "reporting"}],
            "monitor": {"secretRef": {"name": "app-monitor"}},
        },
        "users": [{"name": "report", "endpoints": ["read"], "poolMode": "session", "maxPercent": 25}],
        "budget": {"connectionsPerCpu": 3, "cpu": "8", "reservedConnections": 10, "overcommit": False},
        "engine": "pgbouncer",
        "poolMode": "transaction",
        "pgbouncer": {
            "parameters": {
                "max_client_conn": 5000,
                "tcp_keepalive": True,
                "ignore_startup_parameters": "extra_float_digits, options",
            }
        },
        "write": {
            "replicas": 2,
            "autoscaling": {
                "minReplicas": 2,
                "maxReplicas": 8,
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0,
                        "selectPolicy": "Max",
                        "policies": [
                            {"type": "Pods", "value": 4, "periodSeconds": 15},
                            {"type": "Percent", "value": 100, "periodSeconds": 15},
                        ],
                    },
                    "scaleDown": {
                        "stabilizationWindowSeconds": 3600,
                        "selectPolicy": "Min",
                        "policies": [{"type": "Percent", "value": 10, "periodSeconds": 1800}],
                    },
                },
            },
            "service": {"type": "LoadBalancer", "port": 6432, "annotations": {"a/b": "c"}},
        },
        "read": {"replicas": 3, "targetSessionAttrs": "prefer-standby", "service": {}},
        "tls": {
            "client": {"secretName": "app-tls", "mode": "require"},
            "server": {"secretName": "main-ca", "mode": "verify-full"},
        },
        "timeouts": {
            "connectSeconds": 3,
            "loginSeconds": 15,
            "queueSeconds": 120,
            "querySeconds": 0,
            "idleInTransactionSeconds": 0,
            "clientIdleSeconds": 0,
            "deadPeerSeconds": 30,
            "drainSeconds": 60,
            "switchoverSeconds": 30,
        },
        "pods": {
            "image": "example.com/pgpool/pooler:1",
            "imagePullSecrets": [{"name": "pull"}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
            "labels": {"team": "shop"},
            "annotations": {"note": "x"},
            "nodeSelector": {"disk": "ssd"},
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
            },
            "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "db", "effect": "NoSchedule"}],
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"team": "shop"}},
                }
            ],
            "priorityClassName": "high",
        },
        "paused": False,
    },
}


def merged(base: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386): None removes a key, a list replaces a list."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    base = base if isinstance(base, dict) else {}
    kept = {key: deepcopy(value) for key, value in base.items() if key not in patch}
    return kept | {key: merged(base.get(key), value) for key, value in patch.items() if value is not None}


def spec(**patch: Any) -> dict[str, Any]:
    return {"spec": patch}


def parameters(**values: Any) -> dict[str, Any]:
    return spec(pgbouncer={"parameters": values})


def servers(*entries: dict[str, Any]) -> dict[str, Any]:
    return spec(database={"cluster": None, "servers": list(entries)})


def autoscaling(**fields: Any) -> dict[str, Any]:
    """Of the write endpoint."""
    return spec(write={"autoscaling": {"maxReplicas": 6} | fields})


def read_autoscaling(**fields: Any) -> dict[str, Any]:
    return spec(read={"autoscaling": {"maxReplicas": 6} | fields})


def scale_up(**fields: Any) -> dict[str, Any]:
    return autoscaling(behavior={"scaleUp": fields})


def scale_down(**fields: Any) -> dict[str, Any]:
    return autoscaling(behavior={"scaleDown": fields})


def monitor(block: dict[str, Any]) -> dict[str, Any]:
    return spec(auth={"monitor": block})


def policy(**fields: Any) -> dict[str, Any]:
    return {"type": "Pods", "value": 1, "periodSeconds": 60} | fields


def databases(*entries: dict[str, Any]) -> dict[str, Any]:
    return spec(databases=list(entries))


@dataclass(frozen=True)
class Mistake:
    """A patch on a good pool, the field that the refusal must name, and words that it must hold."""

    name: str
    patch: dict[str, Any]
    field: str
    words: str
    base: str = "MINIMAL"

    def manifest(self) -> dict[str, Any]:
        bases = {"MINIMAL": MINIMAL, "EXTERNAL": EXTERNAL}
        return dict(merged(bases[self.base], self.patch))


DB1 = {"host": "db1", "cpu": 8}
DB2 = {"host": "db2", "cpu": 8}
NO_CPU = "cannot be discovered: set cpu on each of database.servers, or budget.cpu"
CPU_WORDS = 'a number of CPUs above 0 is needed, such as 16, "1.5" or 500m'
SIZES = (
    "pool sizes follow from the budget and change with it: "
    "set budget, databases[].maxPercent or users[].maxPercent instead"
)
SESSION_WORDS = (
    "poolMode session: every client holds a backend until it leaves, so more pods cannot serve more clients and "
    "pods cannot be drained; use poolMode transaction, or replicas instead of autoscaling"
)
MIN_WORDS = (
    "minReplicas must not be greater than maxReplicas; it is at least 2 if not set: "
    "for maxReplicas: 1 set minReplicas: 1"
)
WRITE_AUTOSCALING = "spec.write.autoscaling"
POLICY = f"{WRITE_AUTOSCALING}.behavior.scaleUp.policies[0]"
UNKNOWN = "unknown field"
SCALAR = "in body should match"

MISTAKES = (
    # database
    Mistake("no database", spec(database=None), "spec.database", "Required value"),
    Mistake(
        "neither cluster nor servers",
        spec(database={"cluster": None}),
        "spec.database",
        "set exactly one of cluster, servers",
    ),
    Mistake(
        "cluster and servers",
        spec(database={"servers": [DB1]}),
        "spec.database",
        "set exactly one of cluster, servers",
    ),
    Mistake(
        "a pool as database",
        spec(database={"cluster": None, "pool": {"name": "x"}}),
        "spec.database.pool",
        UNKNOWN,
    ),
    Mistake(
        "a provider of a later release",
        spec(database={"cluster": {"provider": "cnpg"}}),
        "spec.database.cluster.provider",
        'supported values: "patroni"',
    ),
    Mistake(
        "no provider",
        spec(database={"cluster": {"provider": None}}),
        "spec.database.cluster.provider",
        "Required value",
    ),
    Mistake(
        "no cluster name",
        spec(database={"cluster": {"name": None}}),
        "spec.database.cluster.name",
        "Required value",
    ),
    Mistake(
        "empty cluster name",
        spec(database={"cluster": {"name": ""}}),
        "spec.database.cluster.name",
        "at least 1 chars long",
    ),
    Mistake(
        "port 0",
        spec(database={"cluster": {"port": 0}}),
        "spec.database.cluster.port",
        "greater than or equal to 1",
    ),
    Mistake(
        "port 70000",
        spec(database={"cluster": {"port": 70000}}),
        "spec.database.cluster.port",
        "less than or equal to 65535",
    ),
    Mistake(
        "nine labels",
        spec(database={"cluster": {"matchLabels": {f"l{i}": "x" for i in range(9)}}}),
        "spec.database.cluster.matchLabels",
        "must have at most 8 items",
    ),
    # servers
    Mistake("no server", servers(), "spec.database.servers", "at least 1 items"),
    Mistake(
        "17 servers",
        servers(DB1, *({"host": f"r{i}", "role": "replica", "cpu": 1} for i in range(16))),
        "spec.database.servers",
        "must have at most 16 items",
    ),
    Mistake(
        "two primaries",
        servers(DB1, DB2),
        "spec.database.servers",
        "one server can be the primary: give the others role: replica",
    ),
    Mistake(
        "a server twice",
        servers(DB1, DB1 | {"role": "replica", "port": 5432}),
        "spec.database.servers",
        "the same host and port is listed twice",
    ),
    Mistake("a server without host", servers({"cpu": 8}), "spec.database.servers[0].host", "Required value"),
    Mistake(
        "a list of hosts", servers({"host": "db1,db2", "cpu": 8}), "spec.database.servers[0].host", SCALAR
    ),
    Mistake(
        "an unknown role",
        servers(DB1 | {"role": "standby"}),
        "spec.database.servers[0].role",
        'supported values: "primary", "replica"',
    ),
    Mistake("a server of unknown size", servers({"host": "db1"}), "spec", NO_CPU),
    Mistake("one server of unknown size", servers(DB1, {"host": "db2", "role": "replica"}), "spec", NO_CPU),
    Mistake(
        "no primary to write to",
        servers(DB1 | {"role": "replica"}),
        "spec",
        "no server is the primary: give one role: primary, or leave write out",
    ),
    Mistake("a server with 0 CPUs", servers(DB1 | {"cpu": 0}), "spec.database.servers[0].cpu", CPU_WORDS),
    Mistake("a server with 0m CPUs", servers(DB1 | {"cpu": "0m"}), "spec.database.servers[0].cpu", CPU_WORDS),
    Mistake(
        "a server with many CPUs", servers(DB1 | {"cpu": "many"}), "spec.database.servers[0].cpu", SCALAR
    ),
    Mistake("CPUs as a float", servers(DB1 | {"cpu": 1.5}), "spec.database.servers[0].cpu", "integer,string"),
    # databases
    Mistake("no databases", spec(databases=None), "spec.databases", "Required value"),
    Mistake("an empty list of databases", databases(), "spec.databases", "at least 1 items"),
    Mistake(
        "33 databases",
        databases(*({"name": f"d{i}"} for i in range(33))),
        "spec.databases",
        "must have at most 32 items",
    ),
    Mistake(
        "the console's name",
        databases({"name": "pgbouncer"}),
        "spec.databases[0].name",
        "pgbouncer is the name of the pooler's own console: choose another name and set dbname",
    ),
    Mistake(
        "the name of the monitor's entry",
        databases({"name": "pgpool_monitor"}),
        "spec.databases[0].name",
        "pgpool_monitor is the name of the monitor's own entry (auth.monitor): choose another name and set dbname",
    ),
    Mistake("any database", databases({"name": "*"}), "spec.databases[0].name", SCALAR),
    Mistake("a line break in a name", databases({"name": "app\n[users]"}), "spec.databases[0].name", SCALAR),
    Mistake(
        "a connection string as dbname",
        databases({"name": "app", "dbname": "app host=elsewhere"}),
        "spec.databases[0].dbname",
        SCALAR,
    ),
    Mistake(
        "a name of 64 letters",
        databases({"name": "a" * 64}),
        "spec.databases[0].name",
        "may not be more than 63",
    ),
    Mistake(
        "a database twice",
        databases({"name": "app"}, {"name": "app"}),
        "spec.databases[1]",
        "Duplicate value",
    ),
    Mistake(
        "0 percent",
        databases({"name": "app", "maxPercent": 0}),
        "spec.databases[0].maxPercent",
        "greater than or equal to 1",
    ),
    Mistake(
        "101 percent",
        databases({"name": "app", "maxPercent": 101}),
        "spec.databases[0].maxPercent",
        "less than or equal to 100",
    ),
    # auth, users
    Mistake("no auth", spec(auth=None), "spec.auth", "Required value"),
    Mistake("no user secrets", spec(auth={"userSecrets": None}), "spec.auth.userSecrets", "Required value"),
    Mistake(
        "an empty list of user secrets",
        spec(auth={"userSecrets": []}),
        "spec.auth.userSecrets",
        "at least 1 items",
    ),
    Mistake(
        "a user secret twice",
        spec(auth={"userSecrets": [{"name": "a"}, {"name": "a"}]}),
        "spec.auth.userSecrets[1]",
        "Duplicate value",
    ),
    Mistake(
        "a secret of another namespace",
        spec(auth={"userSecrets": [{"name": "a", "namespace": "b"}]}),
        "spec.auth.userSecrets[0].namespace",
        UNKNOWN,
    ),
    Mistake(
        "auth by lookup", spec(auth={"lookup": {"secretRef": {"name": "a"}}}), "spec.auth.lookup", UNKNOWN
    ),
    Mistake("a monitor without a secret", monitor({}), "spec.auth.monitor.secretRef", "Required value"),
    Mistake(
        "a monitor whose secret has no name",
        monitor({"secretRef": {}}),
        "spec.auth.monitor.secretRef.name",
        "Required value",
    ),
    Mistake(
        "a monitor's secret in another namespace",
        monitor({"secretRef": {"name": "a", "namespace": "b"}}),
        "spec.auth.monitor.secretRef.namespace",
        UNKNOWN,
    ),
    Mistake(
        "a monitor's password in the spec",
        monitor({"secretRef": {"name": "a"}, "password": "secret"}),
        "spec.auth.monitor.password",
        UNKNOWN,
    ),
    Mistake(
        "an endpoint that is not there",
        spec(read=None, users=[{"name": "u", "endpoints": ["read"]}]),
        "spec",
        "users[].endpoints names an endpoint that is not there",
    ),
    Mistake(
        "an unknown endpoint",
        spec(users=[{"name": "u", "endpoints": ["admin"]}]),
        "spec.users[0].endpoints[0]",
        'supported values: "write", "read"',
    ),
    Mistake("a user twice", spec(users=[{"name": "u"}, {"name": "u"}]), "spec.users[1]", "Duplicate value"),
    # budget
    Mistake(
        "0 connections per CPU",
        spec(budget={"connectionsPerCpu": 0}),
        "spec.budget.connectionsPerCpu",
        "greater than or equal to 1",
    ),
    Mistake(
        "17 connections per CPU",
        spec(budget={"connectionsPerCpu": 17, "overcommit": True}),
        "spec.budget.connectionsPerCpu",
        "less than or equal to 16",
    ),
    Mistake(
        "5 connections per CPU",
        spec(budget={"connectionsPerCpu": 5}),
        "spec.budget",
        "measure first, then set overcommit: true",
    ),
    Mistake("a budget of 0 CPUs", spec(budget={"cpu": "0"}), "spec.budget.cpu", CPU_WORDS),
    Mistake(
        "less than nothing reserved",
        spec(budget={"reservedConnections": -1}),
        "spec.budget.reservedConnections",
        "greater than or equal to 0",
    ),
    # engine
    Mistake(
        "an engine of a later release", spec(engine="odyssey"), "spec.engine", 'supported values: "pgbouncer"'
    ),
    Mistake(
        "an unknown pool mode",
        spec(poolMode="tx"),
        "spec.poolMode",
        'supported values: "session", "transaction", "statement"',
    ),
    Mistake(
        "a misspelt parameter",
        parameters(max_client_con=5),
        "spec.pgbouncer.parameters.max_client_con",
        UNKNOWN,
    ),
    Mistake(
        "a size: default_pool_size", parameters(default_pool_size=20), "spec.pgbouncer.parameters", SIZES
    ),
    Mistake("a size: min_pool_size", parameters(min_pool_size=1), "spec.pgbouncer.parameters", SIZES),
    Mistake("a size: reserve_pool_size", parameters(reserve_pool_size=1), "spec.pgbouncer.parameters", SIZES),
    Mistake(
        "a size: max_db_connections", parameters(max_db_connections=1), "spec.pgbouncer.parameters", SIZES
    ),
    Mistake(
        "a size: max_user_connections", parameters(max_user_connections=1), "spec.pgbouncer.parameters", SIZES
    ),
    Mistake(
        "a time that timeouts owns",
        parameters(query_wait_timeout=5),
        "spec.pgbouncer.parameters.query_wait_timeout",
        UNKNOWN,
    ),
    Mistake(
        "an authentication setting",
        parameters(auth_type="trust"),
        "spec.pgbouncer.parameters.auth_type",
        UNKNOWN,
    ),
    Mistake(
        "no clients",
        parameters(max_client_conn=0),
        "spec.pgbouncer.parameters.max_client_conn",
        "greater than or equal to 1",
    ),
    Mistake(
        "a number as text",
        parameters(max_client_conn="5000"),
        "spec.pgbouncer.parameters.max_client_conn",
        'must be of type integer: "string"',
    ),
    Mistake(
        "a switch as a number",
        parameters(tcp_keepalive=1),
        "spec.pgbouncer.parameters.tcp_keepalive",
        'must be of type boolean: "integer"',
    ),
    Mistake(
        "a line break in a parameter",
        parameters(ignore_startup_parameters="options\nauth_type=any"),
        "spec.pgbouncer.parameters.ignore_startup_parameters",
        SCALAR,
    ),
    # endpoints
    Mistake(
        "no endpoint",
        spec(write=None, read=None),
        "spec",
        "set write, read or both: an endpoint exists when its block does, write: {} is enough",
    ),
    Mistake(
        "less than no pods", spec(write={"replicas": -1}), "spec.write.replicas", "greater than or equal to 0"
    ),
    Mistake("65 pods", spec(read={"replicas": 65}), "spec.read.replicas", "less than or equal to 64"),
    # autoscaling
    Mistake(
        "autoscaling without a limit",
        autoscaling(maxReplicas=None),
        f"{WRITE_AUTOSCALING}.maxReplicas",
        "Required value",
    ),
    Mistake(
        "autoscaling to read without a limit",
        read_autoscaling(maxReplicas=None),
        "spec.read.autoscaling.maxReplicas",
        "Required value",
    ),
    Mistake(
        "autoscaling to no pods",
        autoscaling(maxReplicas=0),
        f"{WRITE_AUTOSCALING}.maxReplicas",
        "greater than or equal to 1",
    ),
    Mistake(
        "autoscaling to 65 pods",
        autoscaling(maxReplicas=65),
        f"{WRITE_AUTOSCALING}.maxReplicas",
        "less than or equal to 64",
    ),
    Mistake(
        "autoscaling from no pods",
        autoscaling(minReplicas=0),
        f"{WRITE_AUTOSCALING}.minReplicas",
        "greater than or equal to 1",
    ),
    Mistake(
        "autoscaling to read from no pods",
        read_autoscaling(minReplicas=0),
        "spec.read.autoscaling.minReplicas",
        "greater than or equal to 1",
    ),
    Mistake("more pods at least than at most", autoscaling(minReplicas=7), WRITE_AUTOSCALING, MIN_WORDS),
    Mistake(
        "more pods at least than at most, to read",
        read_autoscaling(minReplicas=7),
        "spec.read.autoscaling",
        MIN_WORDS,
    ),
    Mistake("one pod at most, two by default", autoscaling(maxReplicas=1), WRITE_AUTOSCALING, MIN_WORDS),
    Mistake(
        "one pod at most, two by default, to read",
        read_autoscaling(maxReplicas=1),
        "spec.read.autoscaling",
        MIN_WORDS,
    ),
    Mistake(
        "replicas and autoscaling to read",
        spec(read={"replicas": 3, "autoscaling": {"maxReplicas": 6}}),
        "spec.read",
        "set replicas or autoscaling, not both",
    ),
    Mistake(
        "autoscaling in session mode",
        merged(autoscaling(), spec(poolMode="session")),
        "spec",
        SESSION_WORDS,
    ),
    Mistake(
        "autoscaling to read in session mode",
        merged(read_autoscaling(), spec(poolMode="session")),
        "spec",
        SESSION_WORDS,
    ),
    Mistake("HPA's metrics", autoscaling(metrics=[]), f"{WRITE_AUTOSCALING}.metrics", UNKNOWN),
    Mistake(
        "an unknown policy type",
        scale_up(policies=[policy(type="Nodes")]),
        f"{POLICY}.type",
        'supported values: "Pods", "Percent"',
    ),
    Mistake(
        "a policy without a type",
        scale_up(policies=[{"value": 1, "periodSeconds": 60}]),
        f"{POLICY}.type",
        "Required value",
    ),
    Mistake(
        "a policy that allows nothing",
        scale_up(policies=[policy(value=0)]),
        f"{POLICY}.value",
        "greater than or equal to 1",
    ),
    Mistake(
        "a period of 0 s",
        scale_up(policies=[policy(periodSeconds=0)]),
        f"{POLICY}.periodSeconds",
        "greater than or equal to 1",
    ),
    Mistake(
        "a period of more than half an hour",
        scale_up(policies=[policy(periodSeconds=1801)]),
        f"{POLICY}.periodSeconds",
        "less than or equal to 1800",
    ),
    Mistake(
        "an empty list of policies",
        scale_up(policies=[]),
        f"{WRITE_AUTOSCALING}.behavior.scaleUp.policies",
        "at least 1 items",
    ),
    Mistake(
        "nine policies",
        scale_down(policies=[policy(value=number) for number in range(1, 10)]),
        f"{WRITE_AUTOSCALING}.behavior.scaleDown.policies",
        "must have at most 8 items",
    ),
    Mistake(
        "an unknown choice of policies",
        scale_down(selectPolicy="Median"),
        f"{WRITE_AUTOSCALING}.behavior.scaleDown.selectPolicy",
        'supported values: "Max", "Min", "Disabled"',
    ),
    Mistake(
        "a window of less than nothing",
        scale_down(stabilizationWindowSeconds=-1),
        f"{WRITE_AUTOSCALING}.behavior.scaleDown.stabilizationWindowSeconds",
        "greater than or equal to 0",
    ),
    Mistake(
        "a window of more than an hour",
        scale_down(stabilizationWindowSeconds=3601),
        f"{WRITE_AUTOSCALING}.behavior.scaleDown.stabilizationWindowSeconds",
        "less than or equal to 3600",
    ),
    Mistake(
        "reading from the primary only",
        spec(read={"targetSessionAttrs": "primary"}),
        "spec.read.targetSessionAttrs",
        'supported values: "prefer-standby", "standby", "any"',
    ),
    Mistake(
        "an external name",
        spec(write={"service": {"type": "ExternalName"}}),
        "spec.write.service.type",
        'supported values: "ClusterIP", "NodePort", "LoadBalancer"',
    ),
    # tls, timeouts
    Mistake(
        "client TLS without a certificate",
        spec(tls={"client": {"mode": "require"}}),
        "spec.tls.client.secretName",
        "Required value",
    ),
    Mistake(
        "client TLS that is none",
        spec(tls={"client": {"secretName": "a", "mode": "disable"}}),
        "spec.tls.client.mode",
        "Unsupported value",
    ),
    Mistake(
        "verification without a CA",
        spec(tls={"server": {"mode": "verify-full"}}),
        "spec.tls.server",
        "need secretName: a Secret with ca.crt",
    ),
    Mistake(
        "a queue shorter than a switchover",
        spec(timeouts={"queueSeconds": 30}),
        "spec.timeouts",
        "queueSeconds must be 0 or more than switchoverSeconds: clients wait in the queue while a "
        "switchover is under way",
    ),
    Mistake(
        "a switchover longer than the queue",
        spec(timeouts={"switchoverSeconds": 200}),
        "spec.timeouts",
        "queueSeconds must be 0 or more than switchoverSeconds",
    ),
    Mistake(
        "no time to connect",
        spec(timeouts={"connectSeconds": 0}),
        "spec.timeouts.connectSeconds",
        "greater than or equal to 1",
    ),
    Mistake(
        "a time with a unit",
        spec(timeouts={"querySeconds": "5s"}),
        "spec.timeouts.querySeconds",
        'must be of type integer: "string"',
    ),
    # pods
    Mistake(
        "memory without a number",
        spec(pods={"resources": {"limits": {"memory": "much"}}}),
        "spec.pods.resources.limits.memory",
        SCALAR,
    ),
    Mistake(
        "an unknown taint effect",
        spec(pods={"tolerations": [{"effect": "NoRun"}]}),
        "spec.pods.tolerations[0].effect",
        "Unsupported value",
    ),
    Mistake(
        "spread over nothing",
        spec(pods={"topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]}),
        "spec.pods.topologySpreadConstraints[0].topologyKey",
        "Required value",
    ),
    Mistake("a sidecar", spec(pods={"containers": []}), "spec.pods.containers", UNKNOWN),
    # the whole
    Mistake("a misspelt block", spec(databses=[]), "spec.databses", UNKNOWN),
    Mistake("paused as text", spec(paused="yes"), "spec.paused", 'must be of type boolean: "string"'),
    Mistake(
        "a name too long for its Services",
        {"metadata": {"name": "a" * 51}},
        "metadata.name",
        "may not be more than 50",
    ),
    Mistake("a name that no Service can have", {"metadata": {"name": "9app"}}, "metadata.name", SCALAR),
)

ACCEPTED = {
    "minimal, a cluster": MINIMAL,
    "minimal, a server outside": EXTERNAL,
    "complete": COMPLETE,
    "write only": merged(MINIMAL, spec(read=None)),
    "read only": merged(MINIMAL, spec(write=None)),
    "replicas only, to read from": merged(
        EXTERNAL, spec(write=None, read={}, database={"servers": [DB1 | {"role": "replica"}]})
    ),
    "one CPU number for all servers": merged(
        EXTERNAL, spec(budget={"cpu": "500m"}, database={"servers": [{"host": "db1"}]})
    ),
    "one host, two ports": merged(EXTERNAL, servers(DB1, DB1 | {"port": 5433, "role": "replica"})),
    "an IPv6 address": merged(EXTERNAL, servers({"host": "fd00::5", "cpu": "1.5"})),
    "overcommitted on purpose": merged(MINIMAL, spec(budget={"connectionsPerCpu": 16, "overcommit": True})),
    "session mode": merged(MINIMAL, spec(poolMode="session")),
    "no limit on the queue": merged(MINIMAL, spec(timeouts={"queueSeconds": 0, "switchoverSeconds": 300})),
    "server TLS required, not verified": merged(MINIMAL, spec(tls={"server": {"mode": "require"}})),
    "an endpoint that is closed": merged(MINIMAL, spec(write={"replicas": 0})),
    "paused": merged(MINIMAL, spec(paused=True)),
    "autoscaling in one line": merged(MINIMAL, autoscaling()),
    "autoscaling to read": merged(MINIMAL, read_autoscaling(minReplicas=1)),
    "autoscaling of both endpoints": merged(MINIMAL, merged(autoscaling(), read_autoscaling())),
    "autoscaling between one and the same": merged(MINIMAL, autoscaling(minReplicas=1, maxReplicas=1)),
    "autoscaling with an empty behavior": merged(MINIMAL, autoscaling(behavior={})),
    "autoscaling with empty rules": merged(MINIMAL, autoscaling(behavior={"scaleUp": {}, "scaleDown": {}})),
    "autoscaling that never goes down": merged(MINIMAL, scale_down(selectPolicy="Disabled")),
    "autoscaling with a policy": merged(MINIMAL, scale_up(policies=[policy(type="Percent", value=200)])),
    "autoscaling and replicas, to write": merged(MINIMAL, merged(autoscaling(), spec(write={"replicas": 3}))),
    "session mode of one database, autoscaling": merged(
        MINIMAL, merged(autoscaling(), databases({"name": "app", "poolMode": "session"}))
    ),
    "a monitor": merged(MINIMAL, monitor({"secretRef": {"name": "app-monitor"}})),
    "a database on the server with the monitor's name": merged(
        MINIMAL, databases({"name": "app", "dbname": "pgpool_monitor"})
    ),
    "a user name like an e-mail address": merged(MINIMAL, spec(users=[{"name": "ann@example.com"}])),
}
