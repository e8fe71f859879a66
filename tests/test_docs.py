"""All documents read together: what they point at exists, they agree, and no figure is of unknown origin."""

import ast
import importlib
import json
import re
import shlex
import subprocess
import sys
import unicodedata
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import codespell_lib
import pytest
import yaml
from helpers.messages import messages
from markdown_it import MarkdownIt

from launcher import commands as launcher_commands
from launcher.pip import PIP_CAUSES
from maintain.documents import day_blocks, markdown_blocks
from maintain.documents.day import clock, day
from tuning import paths
from tuning.dials import PRESETS, Dials, PlanDials, SgdDials
from tuning.encoder.finding import RATES
from tuning.evidence.archive import TAKE_HOME
from tuning.evidence.log_rows import WORKSHEET_COLUMNS
from tuning.further.options import OPTIONS
from tuning.notebook import activities, notebook_settings
from tuning.notebook.session import notebook_file, notebook_files
from tuning.sgd.classifier import RATES as SGD_RATES

ROOT = paths.ROOT
PAGES = [paths.short(path) for path in markdown_blocks.documents()]
SLIDES = [name for name in PAGES if name.startswith("slides/")]
# The data card's figures are compared with the file by tests/audit/test_audit.py; slides by the deck's own tests.
PROSE = [name for name in PAGES if name not in SLIDES and name != "lab/data/README.md"]
# Decimal figures that a document may type by hand, each with its source.
CONSTANTS = {
    "0.01": "WORKSHEET_DELTA in symptoms.py, and the goal of the playground",
    "0.02": "two points of F1, the example of Activity 4",
    "0.1": "a rule of thumb: a tenth",
    "0.20": "PRICE_PER_HOUR's default",
    "0.25": "a quarter of labels flipped",
    "0.29": "1 - 0.71",
    "0.53": "0.71 x 0.75",
    "0.04": "0.29 x 0.25 / 2",
    "0.57": "0.53 + 0.04",
    "0.7": "an example of a score in a message",
    "0.71": "the example of product.md",
    "0.75": "1 - 0.25, the ceiling",
    "0.8": "the playground's setting of the demonstration",
    "1.10": "ln 3",
    "2.5": "LEAST_MEMORY_GB in preflight.py",
    "3.0": "the version of PhraseBank's licence",
    "3.11": "the oldest Python",
    "3.14": "the newest Python",
    "4.0": "the version of this project's licence",
    "6.2": "the unit's number",
}
BLOCK = re.compile(r"<!-- figures: ([\w-]+) begin -->.*?<!-- figures: \1 end -->", re.DOTALL)
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
RUN = re.compile(r"<!-- run: (?P<name>\w+) -->\n+ *```bash\n(?P<code>.*?) *```", re.DOTALL)
LINK = re.compile(r"!?\[(?P<text>[^\]]*(?:\[[^\]]*\][^\]]*)?)\]\((?P<target>[^)\s]+)\)")
# American spellings that are also British words of another meaning.
BOTH = {
    "check",
    "program",
    "practice",
    "license",
    "meter",
    "meters",
    "story",
    "stories",
    "draft",
    "biased",
    "curb",
    "tire",
}
# What a learner may have read when Activity 1 asks which curve is which, and how such a curve would be described.
FIRST = (
    "README.md",
    "activities/activity-1.md",
    "handouts/Activity_Worksheet.md",
    "handouts/Fine_Tuning_in_Plain_English.md",
    "handouts/Unit6_Maths_Words_Glossary.md",
)
SYMPTOMS = re.compile(
    r"validation( loss)? (rises|turns)|loss (jumps|hovers)|stays at its start|hardly (leaves|moves)"
    r"|violent|one answer to all",
    re.IGNORECASE,
)
# A quotation of fewer signs is found on too many screens.
QUOTED = 9
# Sentences of more words than this are hard to read at 08:55.
LONG = 38


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def plain(name: str) -> str:
    """A document without generated blocks, code, front matter and addresses."""
    found = re.sub(r"\A---\n.*?\n---\n", "", text(name), flags=re.DOTALL)
    found = BLOCK.sub("", found)
    found = FENCE.sub("", found)
    found = re.sub(r"`[^`\n]*`", "", found)
    found = re.sub(r"<!--.*?-->", "", found, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", found)


@cache
def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes from a document's headings."""
    seen: dict[str, int] = {}
    found = set()
    for line in FENCE.sub("", path.read_text(encoding="utf-8")).splitlines():
        heading = re.match(r"#{1,6} +(.+)", line)
        if not heading:
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").strip().lower()
        kept = "".join(sign for sign in words if sign.isalnum() or sign in " -_")
        anchor = kept.replace(" ", "-")
        number = seen.get(anchor, 0)
        seen[anchor] = number + 1
        found.add(f"{anchor}-{number}" if number else anchor)
    return found


@cache
def notebooks() -> dict[str, dict[str, set[str]]]:
    """Cell ids, headings, and names in capitals of each notebook."""
    found = {}
    for number, path in notebook_files().items():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        lines = [
            line for cell in cells if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).split("\n")
        ]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        names = set(re.findall(r"^([A-Z][A-Z0-9_]+) = ", code, re.MULTILINE))
        titles = {line.lstrip("# ").strip() for line in lines if line.startswith("#")}
        found[number] = {"ids": {cell["id"] for cell in cells}, "titles": titles, "names": names}
    return found


# Links and names


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    here = ROOT / name
    for match in LINK.finditer(FENCE.sub("", text(name))):
        target = match["target"].strip("<>")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = unquote(target).partition("#")
        there = (here.parent / path).resolve() if path else here
        assert there.exists(), f"{name}: {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{name}: {target}"


@pytest.mark.parametrize("name", PAGES)
def test_addresses_of_the_repository_name_files_that_exist(name):
    for branch, path in re.findall(r"Corndel/AI6-W6/(?:blob|tree)/(\w+)/([^\s)\"#]+)", text(name)):
        assert branch == "main"
        assert (ROOT / path).exists(), path


def test_the_readme_offers_codespaces_and_colab():
    readme = text("README.md")
    assert "https://codespaces.new/Corndel/AI6-W6" in readme
    assert "https://colab.research.google.com/github/Corndel/AI6-W6/blob/main/lab/01_" in readme


@pytest.mark.parametrize("name", PAGES)
def test_every_image_says_what_it_shows(name):
    tokens = MarkdownIt().parse(text(name))
    images = [child for token in tokens for child in token.children or [] if child.type == "image"]
    for image in images:
        assert len(image.content) >= 12, f"{name}: {image.attrs['src']}"
    assert not re.search(r"<img\b(?![^>]*\balt=)", text(name))


@pytest.mark.parametrize("name", PROSE)
def test_cells_are_named_by_ids_that_exist(name):
    there = set().union(*(notebook["ids"] for notebook in notebooks().values()))
    groups = re.findall(r"\bcells?\s((?:`[\w-]+`(?:,| and)? ?)+)", text(name))
    named = {cell for group in groups for cell in re.findall(r"`([\w-]+)`", group)}
    assert named <= there, f"{name}: {named - there}"


@pytest.mark.parametrize("name", PAGES)
def test_calls_that_documents_show_can_be_made(name):
    """Names in Python blocks can be imported; a sentence shows no call but the one that the field knows."""
    for block in re.findall(r"^```python\n(.*?)^```", text(name), re.M | re.S):
        tree, bound = ast.parse(block), {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    owner = importlib.import_module(node.module)
                    if not hasattr(owner, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")
                    bound[alias.asname or alias.name] = getattr(owner, alias.name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound:
                assert hasattr(bound[node.value.id], node.attr), f"{node.value.id}.{node.attr}"
    assert set(re.findall(r"`([A-Za-z_]+\.[a-z_]+)\([^`]*`", text(name))) <= {"trainer.train"}


def test_a_cell_that_documents_name_shows_its_name():
    """JupyterLab shows no ids, so the first line of such a cell does; what is pasted stays alone in its cell."""
    texts = [text(name) for name in PAGES]
    groups = [group for page in texts for group in re.findall(r"\bcells?\s((?:`[\w-]+`(?:,| and)?\s?)+)", page)]
    named = {cell for group in groups for cell in re.findall(r"`([\w-]+)`", group)}
    for path in notebook_files().values():
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and cell["id"] in named and not source.startswith("%%"):
                assert source.startswith(f"# {cell['id']}\n"), f"{path.name}: {cell['id']}"


def test_convergence_is_judged_after_the_curve_was_read():
    """It stood before it and gave the observer's answer away."""
    path = notebook_file("01")
    order = [cell["id"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    assert order.index("train") < order.index("curve") < order.index("verdict") < order.index("convergence")
    assert order.index("convergence") < order.index("open-test")


@pytest.mark.parametrize("name", [name for name in PROSE if name.startswith(("activities", "coach", "TROUBLE"))])
def test_sections_are_named_as_the_notebooks_have_them(name):
    titles = set().union(*(notebook["titles"] for notebook in notebooks().values()))
    named = re.findall(r"\b[Ss]ections? \*\*([^*]+)\*\*", text(name))
    assert set(named) <= titles, f"{name}: {set(named) - titles}"


@pytest.mark.parametrize("name", PROSE)
def test_no_cell_is_referred_to_by_its_number(name):
    assert not re.search(r"\b[Cc]ells? (?:no\. ?)?\d", text(name))


# Facts that stand in more than one place


@pytest.mark.parametrize("name", PROSE)
def test_decimal_figures_come_from_a_source(name):
    found = re.findall(r"(?<![\d.,-])\d+\.\d+(?![\d.]*\d)", plain(name))
    assert set(found) <= CONSTANTS.keys(), f"{name}: {sorted(set(found) - CONSTANTS.keys())}"


@pytest.mark.parametrize("name", PROSE)
def test_dials_that_are_named_exist_and_may_have_the_value(name):
    kinds = (Dials, SgdDials, PlanDials, *(option.dials for option in OPTIONS.values()))
    others = set().union(*(notebook["names"] for notebook in notebooks().values()))
    for dial, value in re.findall(r"\b([A-Z]{4,}(?:_[A-Z0-9]+)*) = (\"[^\"]*\"|[\w.+-]+)(?=`|$|\n| )", text(name)):
        takers = [kind for kind in kinds if dial in kind.settable()]
        if not takers:
            assert dial in others, f"{name}: {dial}"
            continue
        given = (
            ast.literal_eval(value) if value[0] in "\"'" or value[0].isdigit() or value in {"True", "None"} else value
        )
        assert any(kind.from_settings({dial: given}) for kind in takers)


@pytest.mark.parametrize("name", PROSE)
def test_presets_have_one_spelling(name):
    for word in re.findall(r"\b(?:TOO|JUST)[ _-][A-Z]+\b", text(name)):
        assert word in PRESETS, f"{name}: {word}"


@pytest.mark.parametrize("name", PROSE)
def test_rates_of_presets_stand_in_generated_blocks_only(name):
    prose = plain(name)
    for rate in {*RATES["distilbert"].values(), *RATES["small"].values(), *SGD_RATES.values()}:
        written = f"{rate:g}".replace("e-0", "e-")
        if "e" in written or "." in written:
            assert not re.search(rf"(?<![\w.]){re.escape(written)}(?!\.?\w)", prose), f"{name}: {written}"


def test_the_worksheets_log_has_the_columns_of_the_code():
    fields = "".join(f"- {name}:.*\\n" for name in map(re.escape, WORKSHEET_COLUMNS))
    assert len(re.findall(fields, text("handouts/Activity_Worksheet.md"))) == 3


@pytest.mark.parametrize(
    "name", ["activities/activity-4.md", "activities/activity-7.md", "coach/COACH_PLAYBOOK.md", "slides/workshop.md"]
)
def test_what_to_take_home_is_one_sentence(name):
    """Each of them named another set of files."""
    assert " ".join(TAKE_HOME.split()) in " ".join(text(name).split())
    assert not re.search(r"download `?(my_work|lab/runs)", text(name))


def test_clock_times_in_the_playbook_and_the_readme_are_those_of_the_day():
    parts = [part for slot in day() for part in (slot, *slot.moments)]
    known = {clock(minute) for part in parts for minute in (part.start, part.end)}
    for name in PAGES:
        times = set(re.findall(r"\b(?:09|1[0-6]):[0-5]\d\b", plain(name)))
        assert times <= known, f"{name}: {sorted(times - known)}"


def test_minutes_in_the_playbook_are_those_of_the_day():
    spelt = {5: "five", 10: "ten", 15: "fifteen", 20: "twenty", 30: "thirty", 60: "sixty"}
    minutes = {clock(slot.start): slot.minutes for slot in day()}
    named = re.findall(r"\*\*(\d\d:\d\d), (?:[^,*]+, )?([a-z]+) minutes", text("coach/COACH_PLAYBOOK.md"))
    assert len(named) == 5
    for start, word in named:
        assert spelt.get(minutes[start]) == word, start


@pytest.mark.parametrize("name", PROSE)
def test_ksbs_are_those_of_the_workshop(name):
    assert set(re.findall(r"\b(?:K\d{1,2}|S\d{1,2}|B\d)\b", plain(name))) <= activities.KSBS.keys()


def test_the_worksheet_maps_every_ksb_of_the_day():
    mapped = set(re.findall(r"\b[KSB]\d{1,2}\b", text("handouts/Activity_Worksheet.md").partition("## Task 6")[2]))
    needed = {code for name in activities.NAMES for code in activities.load(name).ksbs}
    assert mapped == needed


@pytest.mark.parametrize("name", PROSE)
def test_signs_have_one_meaning(name):
    known = {sign.strip("\ufe0f") for sign in day_blocks.EMOJI}
    used = {sign for sign in text(name) if unicodedata.category(sign) == "So"}
    assert used <= known, f"{name}: {used - known}"


def test_the_generalisation_gap_is_defined_once():
    definition = re.compile(r"training\s+accuracy\s+minus\s+validation\s+accuracy", re.IGNORECASE)
    places = [name for name in PAGES if definition.search(text(name))]
    assert places == ["handouts/Unit6_Maths_Words_Glossary.md"]
    other = re.compile(r"validation\s+accuracy\s+minus\s+training|gap\W+(?:is|=)\W+val", re.IGNORECASE)
    sources = [*map(text, PAGES), *(path.read_text(encoding="utf-8") for path in notebook_files().values())]
    assert not [found for source in sources if (found := other.search(source))]


def test_nothing_that_a_learner_meets_first_gives_the_curves_away():
    readme = text("README.md")
    assert not re.search(r"curve_[a-d]|[Cc]urve [A-D]\b", readme)
    assert not re.search(r"]\([^)]*coach_only", readme)
    # The playbook has the keys, and the deck the reveal.
    warning = readme.partition("do not read ahead in")[2].partition(".")[0]
    assert all(place in warning for place in ("coach/", "slides/", "assets/coach_only/"))


@pytest.mark.parametrize("name", FIRST)
def test_what_is_open_before_activity_1_ends_does_not_say_what_a_cause_looks_like(name):
    seen = re.sub(r"<details>.*?</details>", "", text(name), flags=re.DOTALL)
    assert not SYMPTOMS.search(seen), f"{name}: {SYMPTOMS.search(seen)[0]}"


# What the code says


def searchable(page: str) -> str:
    return " ".join(page.replace("`", "").replace("\\", "").split())


@pytest.fixture(scope="module")
def troubleshooting() -> list[str]:
    """What TROUBLESHOOTING quotes from the screen, cut at its gaps; too little to search for does not count."""
    spans = re.findall(r"`([^`]+)`", FENCE.sub("", text("TROUBLESHOOTING.md")))
    quotes = [quote.strip(" .:,;()") for span in spans for quote in " ".join(span.split()).split("…")]
    return [quote for quote in quotes if len(quote) >= QUOTED]


def test_every_message_of_the_code_can_be_found(troubleshooting):
    missing = [
        f"{message.where}: {message.fragment}"
        for message in messages()
        if not any(quote in searchable(message.fragment) for quote in troubleshooting)
    ]
    assert not missing, "TROUBLESHOOTING.md quotes no part of\n" + "\n".join(missing)


def test_every_cause_of_a_failed_installation_can_be_found(troubleshooting):
    for _, cause in PIP_CAUSES:
        assert any(quote in cause for quote in troubleshooting), cause


def test_messages_are_really_collected():
    found = {message.fragment for message in messages()}
    assert len(found) > 100
    assert 'There is no recorded run yet. Run the section "' in found
    assert "the network forbids the Hub" in found


# Commands


def commands() -> list[tuple[str, str]]:
    lines = []
    for name in PROSE:
        for block in re.findall(r"^ *```bash\n(.*?)^ *```", text(name), re.DOTALL | re.MULTILINE):
            lines += [(name, line.partition("  #")[0].strip()) for line in block.splitlines()]
        lines += [(name, code) for code in re.findall(r"`(python3 workshop\.py [^`…]+)`", " ".join(text(name).split()))]
    return [(name, line) for name, line in lines if line.startswith("python3 workshop.py")]


def test_commands_in_the_documents_are_understood():
    found = commands()
    assert len(found) > 20
    for name, line in found:
        command, *arguments = shlex.split(line)[2:]
        if command in ("--help", "--version"):
            continue
        if "--from-pack" in arguments:
            # Taken by the launcher before any command sees it, with the folder after it.
            at = arguments.index("--from-pack")
            del arguments[at : at + 2]
        options = launcher_commands.parse(command, arguments)
        # What the launcher does not describe goes on to a module, which has its own list.
        if command == "run":
            assert not options.unknown, f"{name}: {line}"
        settings = [arguments[at + 1] for at, word in enumerate(arguments) if word == "--set"]
        if getattr(options, "notebook", "01") == "01":
            given = dict(setting.split("=", 1) for setting in settings)
            Dials.from_settings({name: given[name] for name in given if name not in notebook_settings.PREDICTIONS})


# Programs of the workshop's environment: a shell finds them only after it was activated.
IN_ENVIRONMENT = re.compile(r"(?:python3? -m (?!venv)|pip install|accelerate|jupyter)\b")


@pytest.mark.parametrize("name", PROSE)
def test_a_command_that_needs_the_environment_stands_below_the_line_that_activates_it(name):
    fenced = re.findall(r"^ *```bash\n(.*?)^ *```", text(name), re.DOTALL | re.MULTILINE)
    typed = [line.strip() for block in fenced for line in block.splitlines()] + re.findall(
        r"`([^`\n]+ [^`\n]+)`", text(name)
    )
    for line in filter(IN_ENVIRONMENT.match, typed):
        assert "activate" in text(name)[: text(name).index(line)], f"{name}: {line}"


def test_files_that_a_command_reads_are_there():
    """Typed in the workshop's folder, where `workshop.py` is found."""
    for name, line in commands():
        for word in shlex.split(line)[3:]:
            if "/" in word and word.endswith((".csv", ".md", ".py", ".yaml", ".ipynb")):
                assert (ROOT / word.partition("=")[2] if "=" in word else ROOT / word).is_file(), f"{name}: {line}"


MARKED = [
    pytest.param(match["code"], marks=[pytest.mark.slow] if match["name"] == "slow" else [], id=name)
    for name in PROSE
    for match in RUN.finditer(text(name))
]


def test_there_are_commands_to_run():
    assert len(MARKED) > 1


@pytest.mark.parametrize("code", MARKED)
def test_marked_commands_run(code, monkeypatch, capfd):
    # Else the launcher might set up an environment, where a maintainer made one by hand.
    monkeypatch.setattr(launcher_commands, "ensure", lambda kit: Path(sys.executable))
    for line in code.splitlines():
        python, launcher, *arguments = shlex.split(line)
        assert (python, launcher) == ("python3", "workshop.py")
        assert launcher_commands.main(arguments) == 0
        assert capfd.readouterr().out.strip()


# Language


def test_the_spelling_is_british(tmp_path):
    # Codespell knows which British words Americans write otherwise; read backwards, that finds American ones.
    pairs = Path(codespell_lib.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt"
    british = (line.split("->") for line in pairs.read_text(encoding="utf-8").splitlines())
    turned = [f"{american}->{word}" for word, american in british if "," not in american and american not in BOTH]
    dictionary = tmp_path / "american.txt"
    dictionary.write_text("\n".join(turned), encoding="utf-8")
    names = [str(ROOT / name) for name in PAGES] + [str(path) for path in notebook_files().values()]
    # What stands in backticks belongs to the code.
    command = [sys.executable, "-m", "codespell_lib", "-D", str(dictionary), "-D", "-", "--ignore-regex", "`[^`]*`"]
    command += ["--ignore-words-list", "fro"]
    done = subprocess.run([*command, *names], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout + done.stderr == ""


def sentences(name: str, stops: str = ".!?") -> list[str]:
    """The sentences of paragraphs and list items; tables and headings are no sentences."""
    lines = [line for line in plain(name).splitlines() if not line.lstrip().startswith(("|", "#", "<", "!"))]
    prose = re.sub(r"\n(?=\s*(?:[-*>]|\d+\.) )", "\n\n", "\n".join(lines))
    words = [re.sub(r"[\[\]*_>]", "", part) for part in re.split(rf"\n\s*\n|(?<=[{stops}])[\"”')]*\s+", prose)]
    return [" ".join(part.split()) for part in words if len(part.split()) > 3]


def syllables(word: str) -> int:
    groups = re.findall(r"[aeiouy]+", word.lower())
    return max(1, len(groups) - (word.lower().endswith("e") and not word.lower().endswith("le") and len(groups) > 1))


def reading_ease(name: str) -> float:
    """Flesch's reading ease (1948): 206.835 - 1.015 words per sentence - 84.6 syllables per word."""
    found = sentences(name)
    words = [word for sentence in found for word in re.findall(r"[A-Za-z']+", sentence)]
    return 206.835 - 1.015 * len(words) / len(found) - 84.6 * sum(map(syllables, words)) / len(words)


@pytest.mark.parametrize("name", PROSE)
def test_the_sentences_are_plain(name, record_property):
    ease = reading_ease(name)
    record_property("reading_ease", round(ease, 1))
    print(f"{name}: reading ease {ease:.0f}")
    # 60 to 70 is plain English; words such as "generalisation" and "validation" cannot be avoided here.
    assert ease > 55, f"{name}: reading ease {ease:.0f}"
    # A list behind a colon is read item by item.
    long = [sentence for sentence in sentences(name, ".!?:;") if len(sentence.split()) > LONG]
    assert not long, f"{name}: {long}"


def test_front_matter_is_data():
    for name in activities.NAMES:
        assert yaml.safe_load(text(f"activities/{name}.md").split("---\n", 2)[1])["title"]
