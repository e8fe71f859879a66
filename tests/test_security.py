"""Every sentence of .github/SECURITY.md has a test behind it; this file says which."""

import ast
import re

import yaml
from helpers.messages import launcher_files

from tuning import paths

# How a sentence begins, and the tests behind it, as FILE::NAME below tests/.
BEHIND = {
    "Found a hole?": [],
    "Write to the owner in private": [],
    "Weights are safetensors only.": ["faults/test_integrity.py::test_weights_that_are_no_safetensors_are_not_opened"],
    "Both encoders are checked by SHA-256": [
        "faults/test_integrity.py::test_both_encoders_have_published_hashes",
        "faults/test_integrity.py::test_one_changed_byte_of_the_embedded_encoder_is_found",
        "faults/test_integrity.py::test_every_file_of_the_embedded_encoder_that_is_read_has_its_hash",
        "faults/test_integrity.py::test_an_altered_config_of_distilbert_is_not_taken_for_the_published_one",
        "faults/test_network.py::test_a_changed_config_in_the_folder_is_not_used",
    ],
    "No pickle, and never code": [
        "faults/test_integrity.py::test_no_module_unpickles_or_runs_what_it_read",
        "faults/test_integrity.py::test_torch_refuses_a_program_in_a_checkpoint",
        "encoder/test_finding.py::test_a_model_that_wants_to_run_its_own_code_is_refused",
    ],
    "Network: the package index": [
        "launcher/test_requirements.py::test_files_name_no_index_but_pytorchs",
        "faults/test_integrity.py::test_nothing_leaves_the_machine_while_a_notebook_runs",
        "faults/test_integrity.py::test_nothing_leaves_the_machine_while_the_script_trains",
    ],
    "Preflight asks whether": ["notebook/test_preflight.py::test_the_hub_is_asked_only_where_a_dial_wants_it"],
    "Nothing else is asked.": [
        "faults/test_integrity.py::test_nothing_leaves_the_machine_while_a_notebook_runs",
        "faults/test_integrity.py::test_the_backup_lab_needs_no_network_at_all",
        "faults/test_network.py::test_switched_off_means_no_question_at_all",
    ],
    "No account is needed": ["faults/test_integrity.py::test_telemetry_is_off_wherever_the_package_is_imported"],
    "Nothing is uploaded.": ["faults/test_integrity.py::test_nothing_leaves_the_machine_while_a_notebook_runs"],
    "A run leaves this machine": ["faults/test_integrity.py::test_nothing_leaves_the_machine_while_a_notebook_runs"],
    "It holds numbers and": [
        "faults/test_integrity.py::test_a_share_line_holds_no_sentence_no_path_and_no_user",
        "room/test_share.py::test_paths_and_names_of_machines_stay_at_home",
    ],
    "What others send": [
        "room/test_share.py::test_a_text_beyond_all_bounds_is_refused_at_once",
        "room/test_share.py::test_damage_never_gives_a_wrong_run",
    ],
    "A chat is pasted below": [
        "notebook/test_session.py::test_what_is_pasted_is_text_and_never_runs",
        "notebook/test_session.py::test_every_pasted_text_of_the_notebooks_has_this_form",
    ],
    "Files that lie around": [
        "launcher/test_door.py::test_files_beside_the_command_are_not_taken_for_libraries",
        "notebook/test_session.py::test_a_file_with_a_librarys_name_does_not_hide_it_and_is_named",
    ],
    "Jupyter listens on": ["launcher/test_commands.py::test_lab_opens_the_first_notebook_for_this_machine_only"],
    "Exported HTML has": [
        "faults/test_integrity.py::test_an_exported_worksheet_has_nothing_that_runs",
        "evidence/test_worksheet.py::test_the_worksheet_is_exported_without_anything_that_runs",
        "evidence/test_worksheet.py::test_links_that_do_something_are_dropped_from_both_files",
    ],
    "What a spreadsheet would": [
        "runs/test_record.py::test_an_id_that_a_spreadsheet_would_run_starts_no_formula_and_comes_back_as_it_was",
        "evidence/test_experiment_log.py::test_a_signed_number_is_no_formula",
    ],
    "Tokens (Hub,": ["test_security.py::test_no_code_asks_for_a_token"],
    "No output, log or record": [
        "faults/test_integrity.py::test_nothing_leaves_the_machine_while_a_notebook_runs",
        "faults/test_integrity.py::test_records_name_no_user_and_no_home",
    ],
    "Packages are pinned": ["launcher/test_requirements.py::test_constraints_fix_everything_that_is_pulled_in"],
    "They are not hashed": ["test_security.py::test_packages_have_no_hashes_and_torch_an_index_of_its_own"],
    "setup --repair compares": [
        "launcher/test_damage.py::test_a_package_with_another_content_of_the_same_size_is_repaired"
    ],
    "Actions of GitHub": ["test_security.py::test_actions_and_image_are_pinned_as_the_page_says"],
    "The Codespace's image": ["test_security.py::test_actions_and_image_are_pinned_as_the_page_says"],
    "Each sentence has a test": ["test_security.py::test_every_sentence_has_a_test"],
    "All of them:": ["test_security.py::test_every_sentence_has_a_test"],
}


def sentences() -> list[str]:
    """The page's sentences, without their marks."""
    text = (paths.ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8")
    plain = [line.removeprefix("- ").replace("**", "").replace("`", "") for line in text.splitlines()[1:] if line]
    return [sentence for line in plain for sentence in re.split(r"(?<=[.?])\s+(?=[A-Zs])", line)]


def test_every_sentence_has_a_test():
    for sentence in sentences():
        assert [start for start in BEHIND if sentence.startswith(start)], f"no test is named for: {sentence}"
    unused = [start for start in BEHIND if not any(sentence.startswith(start) for sentence in sentences())]
    assert not unused
    for behind in BEHIND.values():
        for place in behind:
            file, name = place.split("::")
            tree = ast.parse((paths.ROOT / "tests" / file).read_text(encoding="utf-8"))
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place


def test_no_code_asks_for_a_token():
    for path in [*launcher_files(), *(paths.LAB / "tuning").rglob("*.py")]:
        code = path.read_text(encoding="utf-8")
        assert not re.search(r"HF_TOKEN|WANDB_API_KEY|getpass", code), path


def test_packages_have_no_hashes_and_torch_an_index_of_its_own():
    for name in ("requirements.txt", "requirements/backup.txt", "requirements/test.txt", "constraints.txt"):
        assert "--hash" not in (paths.ROOT / name).read_text(encoding="utf-8")
    assert '"https://download.pytorch.org/whl/cpu"' in (paths.ROOT / "launcher" / "installation.py").read_text(
        encoding="utf-8"
    )


def test_actions_and_image_are_pinned_as_the_page_says():
    for path in (paths.ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
        used = re.findall(r"uses: (.*)", text)
        assert used
        assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action) for action in used), used
    moved = yaml.safe_load((paths.ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {entry["package-ecosystem"] for entry in moved} == {"github-actions", "pip"}
    container = (paths.ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    assert '"image": "python:3.11-slim-bookworm"' in container
