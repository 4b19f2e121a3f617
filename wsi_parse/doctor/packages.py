"""Whether Python and all packages have versions that work together, and which extras are installed."""

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, version

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from wsi_parse._version import __version__
from wsi_parse.doctor.finding import Finding

_OURS = "wsi-parse"
_SHOWN = ("numpy", "torch", "openslide-python", "tiffslide", "dask", "zarr", "shapely")


def check_packages(check: str) -> Iterator[Finding]:
    """Compare what is installed with what every package asks for."""
    yield Finding(
        check,
        "python",
        "ok",
        f"wsi-parse {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        facts={"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()},
    )
    if not _is_installed(_OURS):
        text = "wsi-parse is not installed as a package: what it needs is not known, and plug-ins are not found."
        yield Finding(check, "requirements", "fail", text, "pip install .   (in the folder of wsi-parse)")
        return
    problems = list(clashes(_OURS))
    for name, text, remedy in problems:
        yield Finding(check, name, "fail", text, remedy)
    if not problems:
        versions = {name: version(name) for name in _SHOWN if _is_installed(name)}
        text = "All packages that runs need are installed in versions that fit together: "
        listed = ", ".join(f"{name} {number}" for name, number in versions.items())
        yield Finding(check, "requirements", "ok", f"{text}{listed}, …", facts=versions)
    yield from _extras(check)


def clashes(root: str) -> Iterator[tuple[str, str, str]]:
    """Yield the requirements that are not met, of a package and of all that it needs.

    The lower bounds of our own package are the lowest versions that work; what runs with lower ones fails, or gives
    wrong results. Others state theirs: torchvision, for one, the one version of torch that it was built for.

    Parameters
    ----------
    root : str
        Name of an installed package.

    Yields
    ------
    name, text, remedy : str
        The package in question, a sentence, and a command.
    """
    seen, waiting = set(), [root]
    while waiting:
        owner = waiting.pop()
        if canonicalize_name(owner) in seen:
            continue
        seen.add(canonicalize_name(owner))
        for requirement in _requirements(owner):
            try:
                installed = version(requirement.name)
            except PackageNotFoundError:
                yield (
                    requirement.name,
                    f"{requirement.name} is not installed, and {owner} needs it.",
                    f'pip install "{_without_marker(requirement)}"',
                )
                continue
            if not requirement.specifier.contains(installed, prereleases=True):
                yield (
                    requirement.name,
                    f"{requirement.name} is {installed}, and {owner} needs {requirement.specifier}.",
                    f'pip install "{_without_marker(requirement)}"',
                )
            waiting.append(requirement.name)


def _requirements(owner: str) -> Iterator[Requirement]:
    """Yield what an installed package needs here, without its extras."""
    for line in distribution(owner).requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            # Metadata of very old packages.
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _without_marker(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"


def _extras(check: str) -> Iterator[Finding]:
    """Say which extras are there: nobody needs all of them."""
    wanted: dict[str, list[Requirement]] = {}
    for line in distribution(_OURS).requires or ():
        requirement = Requirement(line)
        for extra in distribution(_OURS).metadata.get_all("Provides-Extra") or ():
            marker = requirement.marker
            if marker is not None and not marker.evaluate({"extra": ""}) and marker.evaluate({"extra": extra}):
                wanted.setdefault(extra, []).append(requirement)
    there = [name for name, needed in wanted.items() if all(map(_is_met, needed))]
    absent = [name for name in wanted if name not in there]
    text = f"Installed: {_listed(there)}. Not installed: {_listed(absent)}."
    remedy = f'for one of them: pip install "wsi-parse[{absent[0]}]"' if absent else ""
    facts = {"installed": there, "absent": absent, "prefix": "venv" if sys.prefix != sys.base_prefix else "system"}
    yield Finding(check, "extras", "ok", text, remedy, facts)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _is_met(requirement: Requirement) -> bool:
    return _is_installed(requirement.name) and requirement.specifier.contains(
        version(requirement.name), prereleases=True
    )


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
