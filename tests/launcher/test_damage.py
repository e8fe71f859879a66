"""Packages that lost a file are named and mended."""

import json
import re
import shutil

import pytest

DAMAGES = {
    "emptied": lambda file: file.write_text("", encoding="utf-8"),
    "lost": lambda file: file.unlink(),
    "longer": lambda file: file.write_text("VERSION = '1.0'\nprint('!')\n", encoding="utf-8"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_package_is_named_and_repaired(ready, damage):
    ready.write("lab/tuning/notebook/preflight.py", "import tiny\nprint(tiny.VERSION)\n")
    DAMAGES[damage](ready.site_packages / "tiny.py")
    done = ready.run("check")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"workshop: the package tiny is damaged \(tiny\.py .*\); .* setup --repair\n", done.stderr)
    done = ready.run("setup", "--repair")
    assert done.stderr.splitlines()[-1] == "workshop: installed again: tiny"
    assert ready.run("check").stdout == "1.0\n"
    assert ready.run("setup", "--repair").stderr.splitlines()[-1] == "workshop: every file is as it came"


def test_a_package_with_another_content_of_the_same_size_is_repaired(ready):
    code = ready.site_packages / "tiny.py"
    code.write_text(code.read_text(encoding="utf-8").replace("1.0", "1.1"), encoding="utf-8")
    assert ready.run("setup", "--repair").stderr.splitlines()[-1] == "workshop: installed again: tiny"
    assert json.loads(ready.run("run").stdout)["tiny"] == "1.0"


@pytest.mark.parametrize("lost", ["tiny-1.0.dist-info", "tiny-1.0.dist-info/RECORD", "tiny-1.0.dist-info/METADATA"])
def test_a_package_whose_metadata_are_lost_is_named_and_repaired(ready, lost):
    ready.write("lab/tuning/notebook/preflight.py", "")
    path = ready.site_packages / lost
    shutil.rmtree(path) if path.is_dir() else path.write_bytes(b"")
    assert "the package tiny is damaged" in ready.run("check").stderr
    assert ready.run("setup", "--repair").stderr.splitlines()[-1] == "workshop: installed again: tiny"
    assert ready.run("check").returncode == 0


def test_a_command_that_ends_in_an_error_names_the_package_that_is_damaged(ready):
    (ready.site_packages / "tiny.py").write_text("", encoding="utf-8")
    process = ready.start("run")
    _, err = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "the package tiny is damaged" in err.splitlines()[-1]


@pytest.mark.slow
def test_a_damaged_pip_is_repaired(ready):
    (ready.site_packages / "pip" / "_internal" / "cli" / "main.py").write_text("", encoding="utf-8")
    assert ready.run("setup", "--repair").stderr.splitlines()[-1] == "workshop: installed again: pip"
    ready.write("requirements.txt", "tiny==2.0\n")
    ready.write("constraints.txt", "")
    assert json.loads(ready.run("run").stdout)["tiny"] == "2.0"
