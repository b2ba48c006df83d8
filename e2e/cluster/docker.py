"""The few things asked of the Docker engine."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.engine import install_packages
from e2e.cluster.shell import CommandError, GroundError, pipe, run, say, succeeds

BASE_IMAGE = "debian:trixie-slim"

_SLIM = tuple(
    f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "info", "locale", "man", "groff")
)


def has_image(tag: str) -> bool:
    """Whether the engine holds an image of this name."""
    return succeeds("docker", "image", "inspect", tag)


def image_id(tag: str) -> str:
    """The digest of the image's configuration: the same content has the same id."""
    return run("docker", "image", "inspect", "--format", "{{.Id}}", tag).strip()


def pull(tag: str) -> bool:
    """Whether the image is here, pulled if need be; False where no registry serves it."""
    return has_image(tag) or succeeds("docker", "pull", "--quiet", tag)


def build(tag: str, dockerfile: Path, context: Path, arguments: Mapping[str, str] | None = None) -> None:
    """Builds an image from an ordinary Dockerfile."""
    options = [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
    # Every installation of Docker has the classic builder; buildx is a separate package.
    environment = os.environ | {"DOCKER_BUILDKIT": "0"}
    run("docker", "build", "--quiet", "-t", tag, "-f", dockerfile, *options, context, env=environment)


def import_debian(tag: str, packages: tuple[str, ...] = ()) -> None:
    """Makes an image of a minimal Debian trixie with these packages."""
    _require_mmdebstrap()
    with tempfile.TemporaryDirectory(prefix="pgpool-rootfs-") as folder:
        archive = Path(folder) / "root.tar"
        include = [f"--include={','.join(packages)}"] if packages else []
        run("mmdebstrap", "--variant=minbase", *_SLIM, *include, "trixie", archive)
        run("docker", "import", "--change", 'CMD ["bash"]', archive, tag)


def ensure_base_image() -> None:
    """Pulls the Debian image that the project's Dockerfiles start from, or makes it from packages."""
    if pull(BASE_IMAGE):
        return
    say(f"{BASE_IMAGE} cannot be pulled: making it from Debian packages, once (about 20 s)")
    import_debian(BASE_IMAGE)


def copy_from(container: str, source: str, target: Path) -> None:
    """Copies a file out of a container; the target appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_suffix(".new")
    run("docker", "cp", "--follow-link", f"{container}:{source}", staged)
    staged.rename(target)


def save_into(images: tuple[str, ...], command: tuple[str, ...]) -> None:
    """Feeds an archive of the images to a command."""
    pipe(["docker", "save", *images], command)


def _require_mmdebstrap() -> None:
    if shutil.which("mmdebstrap") is not None:
        return
    if os.geteuid() != 0:
        raise GroundError(
            "No registry serves the images and mmdebstrap is missing. Install it, or run this as root."
        )
    try:
        say("installing Debian's mmdebstrap (about 30 s)")
        install_packages("mmdebstrap")
    except CommandError as error:
        raise GroundError(f"mmdebstrap cannot be installed: {error.output}") from error
