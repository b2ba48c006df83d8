"""Names in the cluster that both sides use."""

GRANT_ANNOTATION = "pgpool.dev/grant"
"""On a pod: its `Grant` as JSON. Projected into the pod by a downwardAPI volume."""

CONFIG_HASH_ANNOTATION = "pgpool.dev/config-hash"
"""On a pod: `content_hash` of the ConfigMap's data. Changing it makes the kubelet refresh the mount at once,
and the agent applies a configuration only when the mounted files have this hash."""

POKE_ANNOTATION = "pgpool.dev/poke"
"""On a pod: any fresh value. Makes the kubelet look again when a wake-up was lost."""

CONFIG_KEY = "config.json"
"""In the ConfigMap: a `PoolConfig`."""

PEERS_KEY = "peers.json"
"""In the ConfigMap: `Peers`."""

MONITOR_DATABASE = "pgpool_monitor"
"""The entry that the monitor's one connection is granted for, beside the pool's databases."""

LEFT_NOTHING = "LeftNothing"
"""First word of the pooler container's termination message: since its end began, each connection to a server was
closed between two transactions, and the server's kernel has confirmed that. The kubelet reports it with the
container's end."""
