"""Installing: an environment is made, filled and mended, and nothing but a whole one gets its stamp."""

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from launcher.children import set_kernel_variables
from launcher.environment import (
    COLAB_KEEPS,
    Environment,
    installed_pins,
    made_for,
    name_of,
    package_of,
    pins,
    release_of,
)
from launcher.files import can_link, check_disk, check_path, folder_mb, install_lock, write_whole
from launcher.machine import (
    PROBE_SECONDS,
    answers,
    check_builds_exist,
    check_python_has_builds,
    check_venv,
    has_nvidia_gpu,
    host_of,
    without_index,
)
from launcher.pip import PipReader, Progress, explain_pip, run_logged
from launcher.pythons import version_of
from launcher.settings import (
    BACKUP,
    CONSTRAINTS,
    FURTHER,
    MAIN,
    PIP,
    ROOT,
    THIS,
    VERSIONS,
    Kit,
    WorkshopError,
    say,
)

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class Installer:
    """Makes an environment, fills it and mends it.

    Parameters
    ----------
    environment : Environment
    """

    def __init__(self, environment: Environment) -> None:
        self.env = environment

    def install(self) -> None:
        """Install what is missing, or all of it.

        Raises
        ------
        WorkshopError
            With the likely cause, if it cannot be done.
        """
        if os.environ.get(VERSIONS) != "newest":  # which find out whether a newer Python has come within reach
            check_python_has_builds(sys.version_info)
        if self.env.kit is not BACKUP and self.env.host != "colab":
            bits = 64 if sys.maxsize > 2**32 else 32
            check_builds_exist(platform.system(), platform.machine(), bits, platform.mac_ver()[0])
        if not self.env.in_place:
            check_venv(sys.version_info)
            check_path(self.env.home)
        if self.env.host != "colab":  # there the large packages are part of the machine
            present = self.env.layout().site_packages if self.env.in_place else self.env.home
            check_disk(self.env.root, self.env.kit.disk_mb - folder_mb(present))

        # From here on the environment is half-finished; only the stamp, written at the end, says otherwise.
        self.env.home.mkdir(exist_ok=True)
        self.env.stamp.unlink(missing_ok=True)
        started = time.monotonic()
        progress = Progress()
        steps = self._steps()
        place = f"this machine's own Python ({self.env.host})" if self.env.in_place else f"{self.env.kit.folder}/"
        say(f"installing {self.env.kit.requirements} into {place}, once; all output goes to {self.env.log_name()}")
        try:
            for number, (title, work) in enumerate(steps, 1):
                progress.step(f"  [{number}/{len(steps)}] {title}")
                work(progress)
                progress.done()
        finally:
            progress.leave()
        layout = self.env.layout()
        missing = self.env.missing()
        if missing:
            raise WorkshopError(
                f"pip reported success, and {missing[0]} is not in {place}: a setting of pip sends packages elsewhere "
                "(pip config list shows it)"
            )
        write_path_file(layout.site_packages, self.env.root)
        if self.env.host != "colab":  # which starts its kernels in its own way
            for prefix in layout.prefixes:
                set_kernel_variables(prefix / "share" / "jupyter" / "kernels" / "python3" / "kernel.json")
        write_whole(self.env.stamp, json.dumps(self.env.expected_stamp(), indent=1) + "\n")
        say(f"ready after {time.monotonic() - started:.0f} s")

    def repair(self) -> list[str]:
        """Install again what is damaged.

        Returns
        -------
        list of str
            The packages that were.
        """
        if version_of(self.env.python) is None:
            self.install()
            return []
        damaged = self.env.damage(hashes=True)
        site_packages = self.env.layout().site_packages
        for info in site_packages.glob("*.dist-info"):
            if package_of(info) in damaged:
                shutil.rmtree(info)  # without it, pip takes the package for one that is not there
        if "pip" in damaged:
            shutil.rmtree(site_packages / "pip", ignore_errors=True)
        if damaged:
            for stamp in self.env.home.glob("workshop-*.json"):
                stamp.unlink()
            self.install()
        return sorted(damaged)

    def download(self, folder: Path) -> None:
        """Bring every package that `install` would install, and what an option may need, for machines of this kind.

        Parameters
        ----------
        folder : Path
            Where the packages go.

        Raises
        ------
        WorkshopError
            With the likely cause, if it cannot be done.
        """
        self.env.home.mkdir(exist_ok=True)
        common = ["--only-binary", ":all:", "--disable-pip-version-check", "--dest", str(folder)]
        command = [str(self.env.python), "-m", "pip", "download", *common]
        progress = Progress()
        progress.step("  packages")
        try:
            for pin in pins(self.env.root / self.env.kit.requirements):
                small = sys.platform == "linux" and name_of(pin) == "torch" and not without_index()
                if small and answers(f"{TORCH_CPU_INDEX}/torch/"):
                    # Among the downloaded ones, the next call finds it and takes no larger build.
                    options = ["--no-deps", pin, "--index-url", TORCH_CPU_INDEX]
                    self._run([*command, *options], progress, "bringing PyTorch", folder)
            files = [self.env.kit.requirements, FURTHER]
            asked = [part for file in files for part in ("-r", str(self.env.root / file))]
            asked += ["-c", str(self.env.root / CONSTRAINTS)]
            self._run([*command, *asked, "--find-links", str(folder)], progress, "bringing the packages", folder)
            with contextlib.suppress(WorkshopError):  # without it a setup takes the pip that it finds
                self._run([*command, "--no-deps", PIP], progress, "bringing pip", folder)
            progress.done()
        finally:
            progress.leave()

    def _steps(self) -> list[tuple[str, Callable[[Progress], None]]]:
        steps: list[tuple[str, Callable[[Progress], None]]] = []
        if not self.env.in_place:
            steps.append((f"Python environment {self.env.kit.folder}/", self._make))
        torch = [pin for pin in self.env.requirements() if name_of(pin) == "torch"]
        if torch and self.env.host != "colab":
            steps.append(("PyTorch", lambda progress: self._install_torch(torch[0], progress)))
        steps.append(("packages", self._install_packages))
        return steps

    def _make(self, progress: Progress) -> None:
        """Make the folder's environment, or mend the one that is there, and give it a pip that is quick."""
        self._make_environment(progress)
        with contextlib.suppress(WorkshopError):
            self._pip(["--retries", "1", PIP], progress)

    def _make_environment(self, progress: Progress) -> None:
        version = version_of(self.env.python)
        if version is None or version != made_for(self.env.home):
            # A Python that was removed or replaced under the environment leaves nothing that can be used.
            command = [sys.executable, "-m", "venv", "--clear", str(self.env.home)]
            try:
                self._run(command, progress, "making the environment", self.env.home)
            except WorkshopError:
                if can_link(self.env.home):
                    raise
                # On a disk without links venv stops at lib64, unless there is one already.
                shutil.rmtree(self.env.home)
                (self.env.home / "lib64").mkdir(parents=True)
                command = [sys.executable, "-m", "venv", "--copies", str(self.env.home)]
                self._run(command, progress, "making the environment", self.env.home)
            return
        site_packages = self.env.layout().site_packages
        remove_torn_packages(site_packages)
        if self._pip_version() is None or not any(site_packages.glob("pip-*.dist-info")):
            for info in site_packages.glob("pip-*.dist-info"):  # which would pass for an installed pip
                shutil.rmtree(info)
            command = [str(self.env.python), "-m", "ensurepip", "--upgrade"]
            self._run(command, progress, "adding pip", site_packages)

    def _install_torch(self, pin: str, progress: Progress) -> None:
        """Install PyTorch before the rest: where no GPU is, from the index of its much smaller CPU builds."""
        version = pin.partition("==")[2] or "*"
        if any(self.env.layout().site_packages.glob(f"torch-{version}*.dist-info")):
            return
        # What it needs comes with the other packages, in the versions of constraints.txt.
        alone = ["--no-deps", pin]
        if sys.platform == "linux" and not has_nvidia_gpu() and not without_index():
            reason = f"does not answer within {PROBE_SECONDS} s"
            if answers(f"{TORCH_CPU_INDEX}/torch/"):
                try:
                    self._pip([*alone, "--index-url", TORCH_CPU_INDEX], progress)
                    return
                except WorkshopError as error:
                    reason = f"cannot be used ({error})"
            progress.leave()
            say(
                f"PyTorch's index of CPU builds {reason}; pip takes the build that it finds elsewhere, "
                "and the standard one is about 3 GB to download"
            )
        self._pip(alone, progress)

    def _install_packages(self, progress: Progress) -> None:
        requirements, constraints = self.env.root / self.env.kit.requirements, self.env.root / CONSTRAINTS
        if self.env.host == "colab":
            present = {name_of(pin): pin for pin in installed_pins([name_of(pin) for pin in pins(requirements)])}
            keeps = {name for name in present if name in COLAB_KEEPS}
            wanted = []
            for pin in pins(requirements):
                if release_of(present.get(name_of(pin), "")) >= release_of(pin):
                    keeps.add(name_of(pin))
                elif name_of(pin) not in COLAB_KEEPS:
                    wanted.append(pin)
            kept = self.env.home / "colab-keeps.txt"
            write_whole(kept, "".join(f"{present[name]}\n" for name in sorted(keeps)))
            if wanted:
                self._pip([*wanted, "-c", str(kept)], progress)
        elif os.environ.get(VERSIONS) == "newest":
            self._pip(self.env.requirements(), progress)
        else:
            self._pip(["-r", str(requirements), "-c", str(constraints)], progress)

    def _pip(self, arguments: Sequence[str], progress: Progress) -> None:
        # Ready-made builds only: compiling one of these on a learner's machine takes an hour or fails. And no
        # bytecode in advance: that takes as long as the rest, and Python makes what it needs at first import.
        options = ["--only-binary", ":all:", "--no-compile", "--disable-pip-version-check", "--progress-bar"]
        options.append("raw" if (self._pip_version() or (0,)) >= (24, 1) else "off")
        command = [str(self.env.python), "-m", "pip", "install", *options, *arguments]
        self._run(command, progress, "installing the packages", self.env.layout().site_packages)

    def _run(self, command: Sequence[str], progress: Progress, what: str, site_packages: Path) -> None:
        reader = PipReader(site_packages)
        code, output = run_logged(command, self.env.log, reader.read, lambda: progress.show(reader.text()))
        if code:
            raise WorkshopError(f"{what} failed: {explain_pip(output)}. Details: {self.env.log_name()}")

    def _pip_version(self) -> tuple[int, ...] | None:
        asked = subprocess.run([str(self.env.python), "-m", "pip", "--version"], capture_output=True, text=True)
        found = re.match(r"pip (\d+)\.(\d+)", asked.stdout)
        return (int(found.group(1)), int(found.group(2))) if found else None


def remove_torn_packages(site_packages: Path) -> None:
    """Remove what a killed pip left behind and would take for an installed package.

    pip writes a package's list of files (RECORD) last, but takes a package for installed as soon as its
    metadata is there. A name that begins with a tilde is a package that was being replaced.
    """
    torn = [info for info in site_packages.glob("*.dist-info") if not (info / "RECORD").is_file()]
    for folder in [*torn, *site_packages.glob("~*")]:
        shutil.rmtree(folder, ignore_errors=True)


def write_path_file(site_packages: Path, root: Path) -> None:
    """Put the folder ``lab/`` on an environment's path, so that ``import tuning`` works from any folder.

    Inside the repository the path is relative: it survives a move, and a folder ``Büro`` needs no encoding.
    """
    lab = root / "lab"
    line = os.path.relpath(lab, site_packages) if root in site_packages.parents else str(lab)
    site_packages.mkdir(parents=True, exist_ok=True)
    write_whole(site_packages / "workshop.pth", line + "\n")


def ensure(kit: Kit) -> Path:
    """Give the interpreter that has a kit, installing the kit first if need be.

    Parameters
    ----------
    kit : Kit
        What is needed.

    Returns
    -------
    Path
        The interpreter.
    """
    environment = Environment(ROOT, kit, host_of(os.environ))
    if not environment.is_complete():
        with install_lock(ROOT / ".workshop" / "install.lock"):
            if not environment.is_complete():  # unless the call that had the lock has done it
                Installer(environment).install()
    return environment.python


def python_for_notebook(notebook: str) -> Path:
    """Give an interpreter for a notebook: unless the main one is there, 02 makes do with the small one."""
    if notebook == "02" and not Environment(ROOT, MAIN, host_of(os.environ)).is_complete():
        return ensure(BACKUP)
    return ensure(MAIN)


def complete_environments() -> list[Environment]:
    """Give the environments whose installation was finished: the main one, the backup lab's small one, or both."""
    host = host_of(os.environ)
    if host == "colab":  # whose own packages are not as pip left them
        return []
    found = [Environment(ROOT, kit, host) for kit in (MAIN, BACKUP)]
    return [environment for environment in found if environment.is_complete()]


def name_damage() -> bool:
    """Say in one line which installed package has lost a file, if one has."""
    damaged: dict[str, str] = {}
    for environment in complete_environments():
        damaged.update(environment.damage())
    if damaged:
        name, fault = next(iter(damaged.items()))
        more = f", and {len(damaged) - 1} more are damaged" if len(damaged) > 1 else ""
        say(f"the package {name} is damaged ({fault}){more}; to mend it: {THIS} setup --repair")
    return bool(damaged)


def repair(environment: Environment) -> None:
    """Compare every installed file with what came, and install again the packages that differ."""
    say("comparing every installed file with what came; this takes a moment")
    with install_lock(ROOT / ".workshop" / "install.lock"):
        repaired = Installer(environment).repair()
    say(f"installed again: {', '.join(repaired)}" if repaired else "every file is as it came")
