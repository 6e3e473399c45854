"""``scopestamp studio-listener``: builds and installs the listener for Micro-Manager Studio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from agent.errors import ScopestampError
from drivers.errors import ListenerError

app = typer.Typer(
    help="The listener that tells the agent of Micro-Manager Studio's events.", no_args_is_help=True
)
Javac = Annotated[
    Path | None, typer.Option("--javac", help="The Java compiler. Default: JAVA_HOME's, then the PATH's.")
]


@app.command("build")
def build(
    out: Annotated[Path, typer.Option("--out", help="Folder to write the jar into.")] = Path(),
    javac: Javac = None,
) -> None:
    """Compile the listener (needs a JDK, 8 or newer; nothing of Micro-Manager) and write its jar."""
    from drivers.mmstudio import listener

    typer.echo(f"Built {_done(listener.build, out, javac)}")


@app.command("install")
def install(
    micro_manager: Annotated[Path, typer.Argument(help="The folder of Micro-Manager Studio.")],
    javac: Javac = None,
) -> None:
    """Compile the listener into the mmplugins folder of a Micro-Manager Studio; it is loaded at its next start."""
    from drivers.mmstudio import listener

    jar = _done(listener.install, micro_manager, javac)
    typer.echo(f"Installed {jar}; it is loaded when Studio next starts.")


def _done(make: Callable[[Path, Path | None], Path], folder: Path, javac: Path | None) -> Path:
    try:
        return make(folder, javac)
    except ListenerError as error:
        raise ScopestampError(str(error)) from error
