"""The project's own images: built from the working tree and loaded into the nodes."""

import hashlib
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import docker, go_tools, kind_cluster, paths
from e2e.cluster.shell import GroundError, run, say

_PYTHON_IN_IMAGE = "3.13"
"""Debian trixie's Python."""

_GLIBC_IN_IMAGE = 41
"""Debian trixie has glibc 2.41: wheels for any manylinux up to that run in it."""


@dataclass(frozen=True)
class Image:
    """An image of the project: its name, its Dockerfile, and its locked dependencies if it runs Python."""

    tag: str
    dockerfile: str
    requirements: str | None = None


OPERATOR = Image("pgpool-operator:dev", "operator/Dockerfile", "requirements/operator.txt")
POOLER = Image("pgpool-pooler:dev", "pooler/Dockerfile", "requirements/pooler.txt")
POSTGRES = Image("pgpool-postgres:dev", "e2e/images/postgres/Dockerfile")
ALL = (POSTGRES, POOLER, OPERATOR)


def load() -> None:
    """Builds all images and loads those into the workers that the workers do not have yet."""
    docker.ensure_base_image()
    say("building the project's images (a few seconds; about 2 min the first time)")
    with tempfile.TemporaryDirectory(prefix="pgpool-dist-") as folder:
        wheel = _own_wheel(Path(folder))
        for image in ALL:
            _build(image, wheel)
    load_into_workers(image.tag for image in ALL)


def load_into_workers(tags: Iterable[str]) -> None:
    """Loads those of the engine's images into the workers that the workers do not have yet."""
    wanted = {tag: docker.image_id(tag) for tag in tags}
    missing = missing_images(wanted, [_ids_in(worker) for worker in kind_cluster.WORKERS])
    if missing:
        say(f"loading {', '.join(missing)} into the workers (about 10 s)")
        nodes = ",".join(kind_cluster.WORKERS)
        run(paths.kind(), "load", "docker-image", "--name", paths.CLUSTER, "--nodes", nodes, *missing)


def missing_images(wanted: dict[str, str], present: Iterable[dict[str, str]]) -> tuple[str, ...]:
    """The names that some node lacks or has with other content; both map an image's name to its id."""
    nodes = list(present)
    return tuple(tag for tag, content in wanted.items() if any(node.get(tag) != content for node in nodes))


def wheelhouse_name(lock: str, architecture: str) -> str:
    """The name of the folder with the wheels of a lock file: other locks, other wheels."""
    return f"{hashlib.sha256(lock.encode()).hexdigest()[:12]}-py{_PYTHON_IN_IMAGE}-{architecture}"


def images_in(crictl_json: str) -> dict[str, str]:
    """The images that `crictl images -o json` lists: id by name, less the registry put before it."""
    listed = json.loads(crictl_json)["images"]
    return {tag.rsplit("/", 1)[-1]: image["id"] for image in listed for tag in image["repoTags"]}


def _ids_in(node: str) -> dict[str, str]:
    return images_in(run("docker", "exec", node, "crictl", "images", "-o", "json"))


def _build(image: Image, own_wheel: Path) -> None:
    dockerfile = paths.REPOSITORY / image.dockerfile
    if image.requirements is None:
        docker.build(image.tag, dockerfile, dockerfile.parent)
        return
    lock = paths.REPOSITORY / image.requirements
    wheels = _wheelhouse(lock.read_text(), lock)
    with tempfile.TemporaryDirectory(prefix="pgpool-context-") as folder:
        context = Path(folder)
        shutil.copy(lock, context / "requirements.txt")
        shutil.copytree(wheels, context / "wheels")
        (context / "dist").mkdir()
        shutil.copy(own_wheel, context / "dist")
        docker.build(image.tag, dockerfile, context)


def _own_wheel(folder: Path) -> Path:
    """The project's wheel; the build is reproducible, so an unchanged tree gives the same image."""
    run(_tool("uv"), "build", "--quiet", "--wheel", "--out-dir", folder, paths.REPOSITORY)
    return next(folder.glob("*.whl"))


def _wheelhouse(lock_text: str, lock: Path) -> Path:
    wheels = paths.cache_dir() / "wheels" / wheelhouse_name(lock_text, go_tools.architecture())
    if wheels.exists():
        return wheels
    say(f"downloading the wheels of {lock.relative_to(paths.REPOSITORY)}, once (about 20 s)")
    wheels.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=wheels.parent, prefix="new-"))
    platforms = [f"--platform={name}" for name in wheel_platforms(platform.machine())]
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"),
        *(
            "-r",
            str(lock),
            "--only-binary=:all:",
            "--implementation=cp",
            f"--python-version={_PYTHON_IN_IMAGE}",
        ),
        *(*platforms, "--dest", str(staged)),
    )
    staged.rename(wheels)
    return wheels


def wheel_platforms(machine: str) -> tuple[str, ...]:
    """The platform tags of the wheels that run on Debian trixie."""
    numbered = tuple(f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC_IN_IMAGE, 16, -1))
    return (*numbered, f"manylinux2014_{machine}")


def _tool(name: str) -> Path:
    tool = Path(sys.prefix) / "bin" / name
    if not tool.exists():
        raise GroundError(f"{tool} is missing. Run `make venv`.")
    return tool
