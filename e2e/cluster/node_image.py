"""kind's node image: pulled, or made from Go modules and Debian packages where no registry serves it."""

import hashlib
import re
import shutil
import tempfile
import time
from pathlib import Path

from e2e.cluster import docker, go_tools
from e2e.cluster.engine import install_packages
from e2e.cluster.go_tools import GoTools
from e2e.cluster.shell import GroundError, run, say, succeeds

PUBLISHED = "kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a"
"""The node image that kind 0.30 names as its default (pkg/apis/config/defaults/image.go)."""

# Kubernetes 1.34 is the last whose kubelet runs on a cgroup v1 host by default; kind 0.30 fits it.
_VERSION = "v1.34.4"
_KUBERNETES = GoTools(
    module="k8s.io/kubernetes",
    version=_VERSION,
    packages=tuple(
        f"k8s.io/kubernetes/cmd/{name}"
        for name in (
            *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"),
            *("kubelet", "kubeadm", "kubectl"),
        )
    ),
    minutes=6,
    staging="v0.34.4",
    variables={
        "k8s.io/component-base/version.gitVersion": _VERSION,
        "k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/component-base/version.gitMinor": "34",
    },
)
_ETCD = GoTools("go.etcd.io/etcd/server/v3", "v3.6.13", ("go.etcd.io/etcd/server/v3",), minutes=0.5)
_COREDNS = GoTools("github.com/coredns/coredns", "v1.14.7", ("github.com/coredns/coredns",), minutes=1.5)
_CRICTL = GoTools("sigs.k8s.io/cri-tools", "v1.34.0", ("sigs.k8s.io/cri-tools/cmd/crictl",), minutes=0.5)
KIND = GoTools("sigs.k8s.io/kind", "v0.30.0", ("sigs.k8s.io/kind",), minutes=0.1)

_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "bash", "ca-certificates", "curl", "jq", "procps", "pigz"),
    *("conntrack", "ethtool", "iproute2", "iptables", "kmod", "mount", "nftables", "socat", "util-linux"),
    *("containerd", "containernetworking-plugins", "libseccomp2", "runc"),
)
_NODE_PROGRAMS = ("kubeadm", "kubelet", "kubectl")
_DOCKERFILE = Path(__file__).parent / "node" / "Dockerfile"
_CONTAINERD_SECONDS = 30.0


def ensure_node_image() -> str:
    """The name of a node image that the engine holds."""
    if docker.pull(PUBLISHED):
        return PUBLISHED
    tag = f"pgpool-node:{_VERSION}-{recipe_digest(recipe())}"
    if not docker.has_image(tag):
        say("kind's node image cannot be pulled: making it from Go modules and Debian packages, once")
        _make(tag)
    return tag


def recipe_digest(text: str) -> str:
    """A short name for a recipe: another recipe is another image."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def sandbox_image(containerd_config: str) -> str:
    """The image that containerd runs as each pod's sandbox, as its configuration names it."""
    found = re.search(r'^\s*sandbox_image\s*=\s*"([^"]+)"', containerd_config, re.MULTILINE)
    if found is None:
        raise GroundError("kind's containerd configuration names no sandbox image: is it still version 2?")
    return found.group(1)


def component_dockerfile(program: str, base: str) -> str:
    """The Dockerfile of an image with one static program."""
    path = f"/usr/local/bin/{program}"
    return f'FROM {base}\nCOPY {program} {path}\nENTRYPOINT ["{path}"]\n'


def recipe() -> str:
    """All that decides what a node is made of, pulled or built here."""
    tools = (_KUBERNETES, _ETCD, _COREDNS, _CRICTL, KIND)
    versions = [f"{tool.module}@{tool.version}" for tool in tools]
    return "\n".join([PUBLISHED, *versions, *_PACKAGES, _DOCKERFILE.read_text()])


def _make(tag: str) -> None:
    kubernetes = go_tools.build(_KUBERNETES)
    crictl = go_tools.build(_CRICTL)["crictl"]
    components = {
        name: kubernetes[name]
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    } | {"etcd": go_tools.build(_ETCD)["server"], "coredns": go_tools.build(_COREDNS)["coredns"]}
    files = go_tools.source_dir(KIND.module, KIND.version) / "images" / "base" / "files"
    root, bare = f"pgpool-node-root:{recipe_digest(' '.join(_PACKAGES))}", f"{tag}-without-images"
    if not docker.has_image(root):
        say("making the node's root file system from Debian packages (about 1 min)")
        docker.import_debian(root, _PACKAGES)
    say("assembling the node image (about 1 min)")
    with tempfile.TemporaryDirectory(prefix="pgpool-node-") as folder:
        context = Path(folder)
        _copy_files(files, context / "files")
        (context / "bin").mkdir()
        for program in (*(kubernetes[name] for name in _NODE_PROGRAMS), crictl):
            shutil.copy(program, context / "bin" / program.name)
        docker.build(bare, _DOCKERFILE, context, {"ROOT": root, "KUBERNETES_VERSION": _VERSION})
        components["pause"] = _compile_pause(context / "pause")
        names = _wanted_images(kubernetes["kubeadm"], files / "etc" / "containerd" / "config.toml")
        for name in names:
            _build_component(name, components, root, context / "component")
    _commit_with_images(bare, names, tag)


def _copy_files(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if not path.is_file() or path.name == "README.txt":
            continue
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(0o755 if path.parent.name == "bin" else 0o644)


def _compile_pause(target: Path) -> Path:
    if shutil.which("gcc") is None:
        install_packages("gcc", "libc6-dev")
    source = go_tools.source_dir(_KUBERNETES.module, _VERSION) / "build" / "pause" / "linux" / "pause.c"
    run("gcc", "-Os", "-static", f"-DVERSION={_VERSION}", "-o", target, source)
    return target


def _wanted_images(kubeadm: Path, containerd_config: Path) -> tuple[str, ...]:
    listed = run(kubeadm, "config", "images", "list", "--kubernetes-version", _VERSION).split()
    return tuple(sorted({*listed, sandbox_image(containerd_config.read_text())}))


def _build_component(tag: str, components: dict[str, Path], root: str, context: Path) -> None:
    program = tag.rsplit("/", 1)[-1].split(":")[0]
    if program not in components:
        raise GroundError(f"Kubernetes {_VERSION} wants the image {tag}, which this recipe does not know.")
    # kube-proxy calls iptables and conntrack; the others are static programs that need nothing.
    base = root if program == "kube-proxy" else "scratch"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    shutil.copy(components[program], context / program)
    (context / "Dockerfile").write_text(component_dockerfile(program, base))
    docker.build(tag, context / "Dockerfile", context)


def _commit_with_images(bare: str, images: tuple[str, ...], tag: str) -> None:
    container = "pgpool-node-build"
    succeeds("docker", "rm", "-f", "-v", container)
    run(
        *("docker", "run", "-d", "--name", container, "--entrypoint", "sleep"),
        *("--security-opt", "seccomp=unconfined", bare, "infinity"),
    )
    try:
        run("docker", "exec", "-d", container, "containerd")
        _wait_for_containerd(container)
        importing = (
            "ctr",
            "-n",
            "k8s.io",
            "images",
            "import",
            "--all-platforms",
            "--no-unpack",
            "--digests",
            "-",
        )
        docker.save_into(images, ("docker", "exec", "-i", container, *importing))
        run("docker", "exec", container, "pkill", "containerd")
        entrypoint = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
        run("docker", "commit", "--change", entrypoint, "--change", "CMD []", container, tag)
    finally:
        succeeds("docker", "rm", "-f", "-v", container)


def _wait_for_containerd(container: str) -> None:
    deadline = time.monotonic() + _CONTAINERD_SECONDS
    while not succeeds("docker", "exec", container, "ctr", "version"):
        if time.monotonic() > deadline:
            raise GroundError("containerd did not start in the node image that was just made.")
        time.sleep(0.5)
