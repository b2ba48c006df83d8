"""Programs built from Go modules, once per version, where no registry serves them ready made."""

import json
import os
import platform
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from e2e.cluster.paths import cache_dir
from e2e.cluster.shell import GroundError, run, say

_GO_VERSION = "1.25.0"
"""The language version that the generated go.mod files name."""


@dataclass(frozen=True)
class GoTools:
    """Main packages of one module at one version.

    `staging` is the version at which the modules live that the module's own go.mod names at v0.0.0;
    `variables` are set at link time; `minutes` is how long a first build usually takes on two cores.
    """

    module: str
    version: str
    packages: tuple[str, ...]
    minutes: float
    staging: str | None = None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the build happens and its result stays."""
        return cache_dir() / "go" / f"{_program(self.module)}-{self.version}"

    @property
    def programs(self) -> dict[str, Path]:
        """Each program's path by its name, once built."""
        names = [_program(package) for package in self.packages]
        return {name: self.folder / "bin" / name for name in names}


def build(tools: GoTools) -> dict[str, Path]:
    """Builds what is not there yet and returns each program's path by its name."""
    if not all(path.exists() for path in tools.programs.values()):
        go = _go()
        say(f"building {tools.module} {tools.version} from Go modules, once (about {tools.minutes:g} min)")
        tools.folder.mkdir(parents=True, exist_ok=True)
        own = go_mod_of(tools.module, tools.version) if tools.staging else ""
        (tools.folder / "go.mod").write_text(go_mod(tools, staging_modules(own)))
        run(
            *(go, "build", "-trimpath", "-ldflags", _linker_flags(tools.variables), "-o", "bin/", "tool"),
            cwd=tools.folder,
            env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false"},
        )
    return tools.programs


def source_dir(module: str, version: str) -> Path:
    """The folder with the module's source."""
    return Path(_download(module, version)["Dir"])


def go_mod_of(module: str, version: str) -> str:
    """The text of the module's own go.mod."""
    return Path(_download(module, version)["GoMod"]).read_text()


def staging_modules(go_mod_text: str) -> tuple[str, ...]:
    """The modules that a go.mod names at v0.0.0: they are developed in its own repository."""
    return tuple(sorted(set(re.findall(r"^\s*(?:require\s+)?(\S+) v0\.0\.0$", go_mod_text, re.MULTILINE))))


def go_mod(tools: GoTools, staging: Iterable[str]) -> str:
    """The go.mod with which `go build tool` builds the programs."""
    lines = [
        "module pgpool.dev/tools",
        "",
        f"go {_GO_VERSION}",
        "",
        f"require {tools.module} {tools.version}",
        "",
    ]
    lines += [f"tool {package}" for package in tools.packages]
    lines += [f"replace {name} => {name} {tools.staging}" for name in staging]
    return "\n".join(lines) + "\n"


def architecture() -> str:
    """This machine's architecture as Go, Debian and container images call it."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _program(package: str) -> str:
    return re.sub(r"/v\d+$", "", package).rsplit("/", 1)[-1]


def _linker_flags(variables: dict[str, str]) -> str:
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in variables.items())])


def _download(module: str, version: str) -> dict[str, str]:
    answer: dict[str, str] = json.loads(
        run(_go(), "mod", "download", "-json", f"{module}@{version}", cwd=Path("/"))
    )
    return answer


def _go() -> str:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise GroundError(
            "kind and, where no container registry is in reach, Kubernetes are built from Go modules, "
            "but there is no `go` command. Install Go 1.26 or later and run this again."
        )
    return go
