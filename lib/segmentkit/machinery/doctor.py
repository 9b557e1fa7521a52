"""The doctor: is this machine, and this installation, what the kit needs? Each finding says what to do."""

import platform
import shutil
import sys
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from segmentkit.errors import EnvironmentFault
from segmentkit.machinery.manifest import PACKAGES
from segmentkit.machinery.paths import outputs_folder, project_root

INSTALL = "from the project root: python -m pip install -r requirements.txt"

Finding = tuple[str, bool, str]


def examine() -> list[Finding]:
    """Name, fine or not, and a sentence, for each thing the kit depends on."""
    import psutil

    folder = outputs_folder() if outputs_folder().is_dir() else project_root()
    disk, memory = shutil.disk_usage(folder).free / 1e9, psutil.virtual_memory().total / 1e9
    lock, allowed = (_locked(), {one.name: one for one in map(Requirement, metadata.requires("segmentkit") or [])})
    version = f"{platform.python_version()}, 3.11 or newer needed; runs from {sys.executable}"
    return [
        ("Python", sys.version_info >= (3, 11), version),
        ("platform", True, platform.platform()),
        _kernel(),
        ("disk", disk >= 2, f"{disk:.1f} GB free for outputs, 2 GB needed; removing old runs frees some"),
        ("memory", memory >= 4, f"{memory:.1f} GB in this machine, 4 GB needed"),
        *(_package(name, lock.get(canonicalize_name(name), "none"), allowed.get(name)) for name in PACKAGES),
    ]


def report(findings: list[Finding]) -> tuple[str, int]:
    """The findings as text, and the exit code: 0, or that of ``EnvironmentFault``."""
    width = max((len(name) for name, _, _ in findings), default=0)
    lines = [f"{'ok' if fine else 'MEND':<4}  {name:<{width}}  {words}" for name, fine, words in findings]
    faults = [name for name, fine, _ in findings if not fine]
    last = f"{len(faults)} to mend: {', '.join(faults)}" if faults else "Everything the kit needs is here."
    return "\n".join([*lines, last]), EnvironmentFault.exit_code if faults else 0


def _kernel() -> Finding:
    from jupyter_client.kernelspec import KernelSpecManager

    manager = KernelSpecManager()
    found = manager.find_kernel_specs()
    others = f"others: {', '.join(sorted(set(found) - {'python3'})) or 'none'}"
    if "python3" not in found:
        return "kernel", False, f"'python3' is not installed ({others}); {INSTALL}"
    program = manager.get_kernel_spec("python3").argv[0]
    # a kernel of that name left by another environment would run without these packages
    if program not in {"python", "python3", sys.executable}:
        mend = f"{sys.executable} -m ipykernel install --sys-prefix"
        return "kernel", False, f"'python3' starts {program}, not this Python ({others}); {mend}"
    return "kernel", True, f"'python3' starts this Python ({others})"


def _package(name: str, locked: str, allowed: Requirement | None) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return name, False, f"not installed; {INSTALL}"
    if allowed and not allowed.specifier.contains(version, prereleases=True):
        return name, False, f"{version}, but the kit needs {allowed.specifier}; {INSTALL}"
    same = version == locked
    return (name, True, f"{version}, as locked" if same else f"{version}; locked: {locked}, so numbers may differ")


def _locked() -> dict[str, str]:
    """Package to version in ``lib/constraints.txt``, of the lines that hold on this platform."""
    lines = (project_root() / "lib" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    here = [one for one in found if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in here}
