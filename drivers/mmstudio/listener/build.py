"""Builds the listener's jar from source, with a Java compiler and nothing else.

Neither Micro-Manager nor Guava is needed: the classes call Studio by name, and Guava's two annotations are stood for by
stubs that are compiled beside them and left out of the jar. At run time Studio's class loader brings the true ones.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from drivers.errors import ListenerError

CLASS_NAME = "scopestamp.StudioListener"
JAR_NAME = "scopestamp-studio-listener.jar"
PLUGINS = "mmplugins"
_HERE = Path(__file__).parent
_COMPILE_S = 300.0
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same source gives the same jar
_MANIFEST = (
    "Manifest-Version: 1.0\r\nImplementation-Title: Scopestamp listener for Micro-Manager Studio\r\n\r\n"
)


def build(folder: Path, javac: Path | None = None) -> Path:
    """Compile the listener and write its jar into `folder`; return the jar.

    Parameters
    ----------
    folder : Path
        Where to write `JAR_NAME`; made when missing. A jar of that name is replaced.
    javac : Path, optional
        The Java compiler; default: that of JAVA_HOME, then the first on the PATH. Any from Java 8 on.

    Raises
    ------
    ListenerError
        There is no compiler, it refuses, or the jar cannot be written.
    """
    compiler = javac or _find_compiler()
    with tempfile.TemporaryDirectory(prefix="scopestamp-listener-") as scratch:
        stubs, classes = Path(scratch, "stubs"), Path(scratch, "classes")
        _compile(compiler, sorted((_HERE / "stubs").rglob("*.java")), stubs, None)
        _compile(compiler, sorted((_HERE / "java").rglob("*.java")), classes, stubs)
        return _pack(classes, folder)


def install(micro_manager: Path, javac: Path | None = None) -> Path:
    """Build the listener into the plugin folder of a Micro-Manager installation; return the jar.

    Raises
    ------
    ListenerError
        That folder is no Micro-Manager Studio, or the jar cannot be built there.
    """
    plugins = micro_manager / PLUGINS
    if not plugins.is_dir():
        raise ListenerError(
            f"Expected the folder of a Micro-Manager Studio, with '{PLUGINS}' in it; there is none in {micro_manager}."
        )
    return build(plugins, javac)


def _find_compiler() -> Path:
    name = "javac.exe" if os.name == "nt" else "javac"
    if home := os.environ.get("JAVA_HOME"):
        candidate = Path(home, "bin", name)
        if candidate.is_file():
            return candidate
    if found := shutil.which("javac"):
        return Path(found)
    raise ListenerError(
        "Building the listener needs a Java compiler (javac of a JDK, version 8 or newer); none is in JAVA_HOME or on "
        "the PATH. Install one, such as Temurin, or build on another PC with 'scopestamp studio-listener build' and "
        f"copy {JAR_NAME} into {PLUGINS}."
    )


def _compile(compiler: Path, sources: list[Path], to: Path, stubs: Path | None) -> None:
    to.mkdir()
    options = [*_for_java_8(compiler), "-encoding", "UTF-8", "-implicit:none", "-nowarn", "-proc:none"]
    class_path = ["-classpath", str(stubs) if stubs else str(to)]
    _run([str(compiler), *options, *class_path, "-d", str(to), *map(str, sources)])


def _for_java_8(compiler: Path) -> list[str]:
    """Return the options by which a compiler makes classes that Studio's Java 8 loads."""
    said = _run([str(compiler), "-version"])
    version = re.search(r"javac (1\.)?(\d+)", said)
    if version is None:
        raise ListenerError(
            f"{compiler} is no Java compiler: asked for its version it said {said.strip()!r}."
        )
    if int(version[2]) < 8:
        raise ListenerError(f"{compiler} is Java {version[2]}; the listener needs 8 or newer.")
    return [] if int(version[2]) == 8 else ["--release", "8", "-Xlint:-options"]


def _run(command: list[str]) -> str:
    """Run a compiler and return what it printed."""
    environment = {name: text for name, text in os.environ.items() if name != "JDK_JAVAC_OPTIONS"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_COMPILE_S,
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ListenerError(f"{command[0]} could not be run: {error}") from error
    said = done.stdout.decode(errors="replace")
    if done.returncode:
        raise ListenerError(f"{command[0]} failed:\n{said.strip()}")
    return said


def _pack(classes: Path, folder: Path) -> Path:
    jar = folder / JAR_NAME
    partial = jar.with_suffix(".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF", _EPOCH), _MANIFEST)
            for file in sorted(classes.rglob("*.class")):
                entry = zipfile.ZipInfo(file.relative_to(classes).as_posix(), _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, file.read_bytes())
        partial.replace(jar)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ListenerError(
            f"{jar} cannot be written: {error}. Close Micro-Manager, which holds its plugins open, and check that you may "
            "write there."
        ) from error
    return jar
