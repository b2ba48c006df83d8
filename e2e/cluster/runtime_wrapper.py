"""An OCI runtime for machines that withhold CAP_SYS_RESOURCE: asks for one capability less, then runs runc.

A privileged container asks for every capability the kernel knows; where the machine's own bounding set lacks
one, runc refuses to start it ("unable to apply caps: operation not permitted"). The engine runs this file as
a program of its own (`install`), so it uses the standard library only.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

WITHHELD = "CAP_SYS_RESOURCE"
WITHHELD_BIT = 24
"""The capability's number in linux/capability.h."""


def lacks_capability(proc_status: str) -> bool:
    """Whether /proc/self/status says that no process here can hold the capability."""
    for line in proc_status.splitlines():
        if line.startswith("CapBnd:"):
            return not int(line.split()[1], 16) >> WITHHELD_BIT & 1
    return False


def process_file(arguments: list[str], cwd: Path) -> Path | None:
    """The file in which this call of runc names capabilities, if it does."""
    if "exec" in arguments:
        given = _option(arguments, "--process", "-p")
        return Path(given) if given else None
    if "create" in arguments or "run" in arguments:
        return Path(_option(arguments, "--bundle", "-b") or cwd) / "config.json"
    return None


def without_withheld(document: dict[str, Any]) -> dict[str, Any]:
    """The bundle's config.json, or an exec's process, without the withheld capability."""
    if "process" in document:
        return document | {"process": without_withheld(document["process"])}
    if not document.get("capabilities"):
        return document
    kept = {
        kind: [name for name in names if name != WITHHELD] for kind, names in document["capabilities"].items()
    }
    return document | {"capabilities": kept}


def install(folder: Path) -> Path:
    """Puts a runnable copy into `folder` (the engine outlives the checkout) and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "runc-without-sys-resource"
    interpreter = Path(sys.executable).resolve()
    staged = program.with_suffix(".new")
    staged.write_text(f"#!{interpreter} -IS\n{Path(__file__).read_text()}")
    staged.chmod(0o755)
    staged.rename(program)
    return program


def _option(arguments: list[str], *names: str) -> str | None:
    for index, argument in enumerate(arguments):
        if argument in names and index + 1 < len(arguments):
            return arguments[index + 1]
        name, equals, value = argument.partition("=")
        if equals and name in names:
            return value
    return None


def main() -> None:
    """Rewrites the call's file, then becomes runc."""
    path = process_file(sys.argv[1:], Path.cwd())
    if path is not None:
        path.write_text(json.dumps(without_withheld(json.loads(path.read_text()))))
    os.execvp("runc", ["runc", *sys.argv[1:]])


if __name__ == "__main__":
    main()
