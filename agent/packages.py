"""A check at start-up: our four import names are generic, and must be ours alone in this environment."""

from __future__ import annotations

from importlib.metadata import packages_distributions

from agent.errors import SettingsError

DISTRIBUTION = "scopestamp"
PACKAGES = ("agent", "drivers", "qc_routines", "server")


def refuse_foreign_packages() -> None:
    """Raise `SettingsError` when another installed distribution brings one of our four packages.

    Two distributions that install into one folder overwrite each other's modules, which would show itself as
    wrong metadata rather than as an error.
    """
    owners = packages_distributions()
    foreign = {name: set(owners.get(name, ())) - {DISTRIBUTION} for name in PACKAGES}
    found = [f"'{name}' ({', '.join(sorted(names))})" for name, names in foreign.items() if names]
    if found:
        raise SettingsError(
            f"expected the packages {', '.join(PACKAGES)} to be Scopestamp's alone, but other distributions bring "
            f"{' and '.join(found)}. Install scopestamp into an environment of its own."
        )
