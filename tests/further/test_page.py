"""The page with a model: nothing private in it, Python's tokens and labels, and a browser without a network."""

import base64
import dataclasses
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import zipfile

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from helpers.programs import program
from playwright.sync_api import expect

from maintain import pages, vendored
from tuning import paths
from tuning.data.labels import LABELS
from tuning.data.loading import load
from tuning.encoder import finding
from tuning.errors import RunError
from tuning.evidence import archive
from tuning.further.error_analysis import NARROW
from tuning.further.export import onnx_export, page, quantisation, shell
from tuning.runs import metrics

pytestmark = pytest.mark.skipif(not onnx_export.is_here(), reason="ONNX is optional: requirements/further.txt")

ODD = [
    "",
    " ",
    "é È ñ ß ﬁ Ⅳ ½ ™ — … “quoted” \u2018single\u2019",
    "İstanbul'da kâr\u200b artt\u0131\u00a0\u00a0%12",
    "利润上升 profit 売上 이익",
    "💰📉 EUR1.2bn £3.4m $5k 10,000.00 -7% (unaudited)",
    "[CLS] [SEP] [MASK] [UNK] [PAD] ##ing",
    "<img src=x onerror=alert(1)> </script> &amp; {{data}}",
    "a" * 150,
    "word " * 300,
    "e\u0301 combining, \ttabs,\nlines\r\nand \x00\x07controls\ufffd",
    "don't won't it's U.S.-based Q3'24 2024/25 e-mail@firm.co.uk https://example.org/?q=1",
]


@pytest.fixture
def beside(run, measured_run):
    """A second run of the same encoder whose model is kept: the same one under another preset."""
    twin = dataclasses.replace(run, run_id=f"{run.run_id}-2", dials=run.dials | {"LR_PRESET": "TOO_HIGH"})
    twin.save()
    for name in ("predictions.csv", quantisation.INT8_FILE):
        shutil.copy(run.folder / name, twin.folder / name)
    yield twin
    shutil.rmtree(twin.folder)


@pytest.fixture(scope="module")
def written(measured_run):
    """The page, written once."""
    folder, run, _ = measured_run
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKSHOP_RUNS", str(folder))
        patch.setenv("WORKSHOP_SHARE", str(folder / "share"))
        return page.write(run)


# The file


def test_the_shell_is_what_its_parts_make():
    assert shell.SHELL.read_text(encoding="utf-8") == pages.model_shell(), "python3 workshop.py pages writes it again"


def test_the_libraries_in_the_repository_are_those_that_were_brought():
    about = json.loads((shell.VENDOR / "vendored.json").read_text(encoding="utf-8"))
    for name, sha256 in about["sha256"].items():
        assert hashlib.sha256((shell.VENDOR / name).read_bytes()).hexdigest() == sha256
    wasm = gzip.decompress((shell.VENDOR / shell.WASM).read_bytes())
    assert hashlib.sha256(wasm).hexdigest() == about["sha256 of the WebAssembly, unpacked"]
    named = {library["name"]: (library["version"], library["licence"]) for library in about["libraries"]}
    assert named == {name: (vendored.VERSIONS[name], licence) for name, licence in vendored.LICENCES.items()}
    licences = (shell.VENDOR / "LICENCES.txt").read_text(encoding="utf-8")
    assert all(f"{name} {version}" in licences for name, (version, _) in named.items())
    assert "Apache License" in licences
    assert "MIT License" in licences


def test_the_page_holds_model_tokenizer_and_runtime_and_nothing_of_the_learners(run, written):
    text = written.read_text(encoding="utf-8")
    blocks = dict(re.findall(r'<script type="application/octet-stream" id="([\w-]+)">([\w+/=]+)</script>', text))
    assert {*blocks} == {"tokenizer", "model-0", "wasm"}
    unpacked = {name: gzip.decompress(base64.b64decode(content)) for name, content in blocks.items()}
    assert unpacked["model-0"] == (run.folder / quantisation.INT8_FILE).read_bytes()
    tokenizer = json.loads(unpacked["tokenizer"])
    assert tokenizer["truncation"] is None
    assert tokenizer["padding"] is None
    rest = re.sub(r'(octet-stream" id="[\w-]+">)[\w+/=]+', r"\1", text)
    assert not any(sentence in rest for sentence in load(run.dials["DATA"]).frame["sentence"])
    assert str(paths.ROOT) not in rest
    assert str(run.dials["DATA"]) not in rest
    assert run.data["path"] not in rest
    assert "a file of the trainer's own" in rest


def test_the_page_may_ask_no_network_and_runs_no_other_script(written):
    text = written.read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]+' 'wasm-unsafe-eval'", rules["script-src"])
    assert {*rules} == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    own = "".join((pages.PARTS / f"{name}.mjs").read_text() for name in ("packed", "reading", "my_model"))
    assert not re.findall(r"innerHTML|insertAdjacentHTML|document\.write|fetch\(|https?:", own)


def test_an_archive_leaves_the_page_out(run, written):
    paths.share().mkdir(parents=True)
    shutil.copy(written, paths.share() / archive.MODEL_PAGE)
    (paths.share() / "other.html").write_text("kept", encoding="utf-8")
    with zipfile.ZipFile(archive.save()) as saved:
        names = saved.namelist()
    assert {f"runs/{run.run_id}/run.json", "share/other.html"} <= {*names}
    assert not any(archive.MODEL_PAGE in name or "onnx" in name for name in names)


# What is refused


def test_a_large_model_is_refused_with_its_size(run):
    large = dataclasses.replace(
        run, encoder=run.encoder | {"name": "distilbert-base-uncased", "parameters": 66_955_779}
    )
    with pytest.raises(RunError, match=r"distilbert-base-uncased has 67 million weights, .* about 77 MB") as refused:
        page.write(large)
    assert "\n" not in str(refused.value)


def test_a_diverged_or_lost_model_is_refused(run, make_run, keep_run):
    gone = dataclasses.replace(run, run_id="20260101-000000-gone")
    with pytest.raises(RunError, match="weights are no longer on disk"):
        page.write(gone)
    broken = dataclasses.replace(run, run_id="20260101-000000-broken")
    broken.folder.mkdir()
    shutil.copy(run.folder / quantisation.INT8_FILE, broken.folder)
    keep_run(broken, logits=np.full((3, 3), np.nan))
    with pytest.raises(RunError, match="diverged"):
        page.write(broken)
    shutil.rmtree(broken.folder)


def test_two_tokenizers_do_not_fit_into_one_page(run, beside, monkeypatch):
    monkeypatch.setattr(page, "_tokenizer", lambda each: each.run_id)
    with pytest.raises(RunError, match="a page holds one"):
        page.write(run, beside.run_id)


def test_what_could_stand_beside_is_named(run, beside):
    assert page.could_stand_beside(run) == f"For BESIDE, these models are here: {beside.run_id}."


# Tokens


def test_the_pages_tokens_are_pythons_on_every_sentence_and_on_odd_ones(tmp_path):
    node = program("Node.js", "node")
    encoder = finding.find("embedded")
    tokenizer = finding.tokenizer(encoder)
    sentences = [*load().frame["sentence"], *ODD]
    file = tmp_path / "asked.mjs"
    (tmp_path / "sentences.json").write_text(json.dumps(sentences), encoding="utf-8")
    file.write_text(
        f"""
        import {{ readFileSync }} from "node:fs";
        import {{ tokenIds }} from "{(pages.PARTS / "reading.mjs").as_uri()}";
        const read = (name) => readFileSync(name, "utf-8");
        const library = read({json.dumps(str(shell.VENDOR / shell.RUNTIME_SCRIPT))});
        const {{ Tokenizer }} = new Function(`${{library}}; return vendor`)();
        const tokenizer = new Tokenizer(JSON.parse(read({json.dumps(str(encoder.folder / "tokenizer.json"))})), {{}});
        const sentences = JSON.parse(read({json.dumps(str(tmp_path / "sentences.json"))}));
        console.log(JSON.stringify(sentences.map((text) => tokenIds(tokenizer, text, 96, true).ids)));
        """,
        encoding="utf-8",
    )
    done = subprocess.run([node, file], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    wanted = tokenizer(sentences, truncation=True, max_length=96)["input_ids"]
    assert max(map(len, wanted)) == 96
    different = [text for text, ids, own in zip(sentences, json.loads(done.stdout), wanted, strict=True) if ids != own]
    assert not different


# In a browser


@pytest.fixture(scope="module")
def opened(browser, written):
    """The page as a double click opens it on a telephone, with the network cut; and all that it asked for."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, offline=True)
    tab = context.new_page()
    tab.asked, tab.problems = [], []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.on("console", lambda line: tab.problems.append(line.text) if line.type == "error" else None)
    tab.goto(written.as_uri())
    tab.wait_for_selector("body[data-ready]", timeout=60_000)
    yield tab
    assert tab.asked == [written.as_uri()]
    assert tab.problems == []
    context.close()


def say(tab, text: str) -> None:
    tab.fill("#sentence", text)
    expect(tab.locator("body")).to_have_attribute("data-said", text.strip(), timeout=30_000)


def test_the_page_says_pythons_labels_and_is_unsure_where_python_is(opened, run, measured_run):
    forms = measured_run[2]
    probs = np.exp(metrics.log_softmax(forms.chosen.alone.logits))
    ordered = np.sort(probs, axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    texts = quantisation._texts(forms, np.arange(len(forms.ids)))
    same = 0
    for text, row, margin in zip(texts, probs, margins, strict=True):
        say(opened, text)
        same += opened.inner_text(".said") == LABELS[row.argmax()]
        shares = [int(share.rstrip("%")) for share in opened.locator(".share").all_inner_texts()]
        assert sum(shares) == pytest.approx(100, abs=1)
        if abs(margin - NARROW) > 0.15:
            assert opened.locator(".sign.unsure").count() == (margin < NARROW)
    # Labels, not digits: the runtime for browsers rounds in another order.
    assert same >= 0.95 * len(texts)


def test_words_that_move_it_are_named_and_an_empty_box_is_no_answer(opened):
    say(opened, "Losses narrowed, but the board warned of a slow recovery.")
    expect(opened.locator("body")).to_have_attribute("data-answered", re.compile("Losses"), timeout=30_000)
    assert opened.inner_text(".words h3") == "Words that move it most"
    said = opened.inner_text(".said")
    for change in opened.locator(".moves span").all_inner_texts():
        assert re.match(rf"without it {said} \S\d+ percentage points", change), change
    moved = opened.locator(".moves b").all_inner_texts()
    assert moved and {*moved} <= {"Losses", "narrowed", "but", "the", "board", "warned", "of", "a", "slow", "recovery"}
    expect(opened.locator("#spoken")).to_contain_text("%", timeout=30_000)
    opened.fill("#sentence", "")
    expect(opened.locator(".said")).to_be_empty()
    assert opened.locator(".words").inner_text() == ""
    say(opened, "<img src=x onerror=document.title='owned'> rose " + "word " * 150)
    assert opened.locator("main img").count() == 0
    assert "owned" not in opened.title()
    assert "tokens are not read" in opened.inner_text("#cut")


def test_the_page_fits_a_telephone_and_pleases_axe_in_light_and_dark(opened):
    say(opened, "Profit rose.")
    assert opened.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    for scheme in ("light", "dark"):
        opened.emulate_media(color_scheme=scheme)
        found = Axe().run(opened)
        assert not found.response["violations"], found.generate_report()


def test_a_second_model_answers_beside_the_first(browser, run, beside):
    context = browser.new_context(offline=True)
    tab = context.new_page()
    tab.goto(page.write(run, beside.run_id).as_uri())
    tab.wait_for_selector("body[data-ready]", timeout=60_000)
    say(tab, "Profit rose.")
    assert tab.locator("#models h2").all_inner_texts()[1] == "TOO_HIGH"
    assert len({*tab.locator(".said").all_inner_texts()}) == 1, "it is the same model"
    context.close()


def test_a_browser_that_is_too_old_is_told_so(browser, written):
    context = browser.new_context(offline=True)
    context.add_init_script("delete window.DecompressionStream")
    tab = context.new_page()
    tab.goto(written.as_uri())
    expect(tab.locator("#state")).to_contain_text("It cannot start. This browser is too old")
    context.close()
