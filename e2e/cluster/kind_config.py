"""kind's configuration: one control plane that keeps an audit log, and two workers."""

import hashlib
from pathlib import Path
from typing import Any

import yaml

AUDIT_LOG = "/var/log/kubernetes/audit.log"
"""The API server's audit log in the control-plane node, one JSON object a line: writes, without leases."""

AUDIT_POLICY = Path(__file__).parent / "node" / "audit-policy.yaml"

SYNC_PERIOD = "10s"
"""Between two looks of a kubelet at each pod, at which it renews the mounted Secrets; by default a minute."""

_POLICY_IN_NODE = "/etc/kubernetes/audit"


def kind_config(ground: Path, withheld: bool) -> str:
    """kind's configuration as YAML.

    `ground` is the host's folder with the audit policy, `withheld` whether the machine withholds
    CAP_SYS_RESOURCE: then containerd must not lower a container's OOM score.
    """
    audit = {
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": {
                "audit-policy-file": f"{_POLICY_IN_NODE}/{AUDIT_POLICY.name}",
                "audit-log-path": AUDIT_LOG,
                "audit-log-maxsize": "100",
                "audit-log-maxbackup": "1",
            },
            "extraVolumes": [
                _volume("audit-policy", _POLICY_IN_NODE, "DirectoryOrCreate", read_only=True),
                _volume("audit-log", str(Path(AUDIT_LOG).parent), "DirectoryOrCreate", read_only=False),
            ],
        },
    }
    kubelet = {"kind": "KubeletConfiguration", "syncFrequency": SYNC_PERIOD}
    config: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"disableDefaultCNI": True, "podSubnet": "10.244.0.0/16"},
        "kubeadmConfigPatches": [yaml.safe_dump(audit), yaml.safe_dump(kubelet)],
        "nodes": [
            {
                "role": "control-plane",
                "extraMounts": [
                    {"hostPath": str(ground), "containerPath": _POLICY_IN_NODE, "readOnly": True},
                ],
            },
            {"role": "worker"},
            {"role": "worker"},
        ],
    }
    if withheld:
        patch = '[plugins."io.containerd.grpc.v1.cri"]\n  restrict_oom_score_adj = true\n'
        config["containerdConfigPatches"] = [patch]
    return yaml.safe_dump(config, sort_keys=False)


def config_digest(*parts: str) -> str:
    """A short name for what a cluster is made of: of other parts, another cluster."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def _volume(name: str, path: str, kind: str, *, read_only: bool) -> dict[str, str | bool]:
    return {"name": name, "hostPath": path, "mountPath": path, "pathType": kind, "readOnly": read_only}
