"""The playground, the clinic and the replay: built from their parts, right in their numbers, and used in a browser."""

import itertools
import json
import math
import re
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.programs import program
from playwright.sync_api import expect

from maintain import clinic_cases, curve_figures, pages
from tuning import paths
from tuning.data.loading import load, split
from tuning.dials import SgdDials
from tuning.errors import RunError
from tuning.figures import smoothing
from tuning.room import clinic, framing, share
from tuning.runs import reference
from tuning.runs.diagnosis import convergence, percent
from tuning.runs.record import Run
from tuning.sgd.classifier import features
from tuning.sgd.surface import SHARES, TwoWeights

NODE_TESTS = sorted((paths.ROOT / "tests" / "pages").glob("*.test.mjs"))
PHONE, PROJECTOR, LARGE_PROJECTOR = (360, 740), (1280, 720), (1920, 1080)
SIZES = [PHONE, PROJECTOR, LARGE_PROJECTOR]


def built(name: str) -> str:
    return (pages.ASSETS / name).read_text(encoding="utf-8")


def facts(name: str) -> dict[str, Any]:
    return json.loads(re.search(r'id="facts">(.*?)</script>', built(name), re.DOTALL)[1])


# The files


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_is_what_its_parts_make(name):
    assert built(name) == pages.PAGES[name](), "python3 workshop.py pages writes it again"


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_asks_the_network_for_nothing_and_parses_nothing(name):
    text = built(name).replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?://|//cdn|fetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(", text)
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert "default-src 'none'" in text
    assert "unsafe" not in text
    assert not re.findall(r'\son\w+="|\sstyle="', text)


def test_no_answer_can_be_read_in_the_clinics_source():
    text = built("clinic.html")
    for name, run in clinic_cases.recorded().items():
        assert name not in text
        assert run.run_id not in text
        assert f'"{run.learning_rate:g}"' not in text
        for told in (*run.diagnosis["reasons"], run.diagnosis["next_dial"]):
            assert told not in text
    for case in facts("clinic.html")["cases"]:
        assert set(case) == {"item", "round", "run", "sealed"}
        assert set(case["run"]) == {"steps", "marks", "majority", "predicted", "moved", "outcome"}


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2 defines it."""

    def light(colour: str) -> float:
        parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([light(one), light(other)])
    return (high + 0.05) / (low + 0.05)


def test_every_text_stands_out_from_its_ground():
    colour = dict(re.findall(r"--([\w-]+): (#\w{6})", (pages.PARTS / "style.css").read_text(encoding="utf-8")))
    texts = ("ink", "soft", "blue-text", "green-text", "red-text")
    pairs = list(itertools.product(texts, ("paper", "wash", "card")))
    assert not [pair for pair in pairs if contrast(colour[pair[0]], colour[pair[1]]) < 4.5]
    assert contrast("#ffffff", colour["blue"]) > 4.5
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


# The cases


def test_the_clinic_has_twelve_cases_and_the_two_rounds_that_are_compared_are_alike():
    runs = clinic_cases.recorded()
    chosen = clinic_cases.choose(runs, set(curve_figures.CURVES.values()))
    assert len({name for _, name in chosen}) == len(chosen) == clinic.ITEMS
    assert not {name for _, name in chosen} & set(curve_figures.CURVES.values())
    rounds = {when: [runs[name] for place, name in chosen if place == when] for when in clinic.ROUNDS}
    assert all(len(members) == 4 for members in rounds.values())
    alike = []
    for when in ("Activity 1", "wrap"):
        causes = [clinic_cases.CAUSE_OF[run.diagnosis["verdict"]] for run in rounds[when]]
        assert set(causes) == set(clinic_cases.OFFERED)
        alike.append(
            {
                cause: [run.dials[dial] for dial in clinic_cases.SAME]
                for cause, run in zip(causes, rounds[when], strict=True)
            }
        )
    assert alike[0] == alike[1]


def test_a_missing_run_is_named(make_run):
    run = make_run(diagnosis={"verdict": "too low", "reasons": [], "next_dial": ""})
    with pytest.raises(RunError, match=r"needs 4 runs that are too low, .* there is one, other\. Record the missing"):
        clinic_cases.choose({"one": run, "other": run}, set())


def test_what_speaks_against_an_answer_fits_the_run():
    for run in clinic_cases.recorded().values():
        verdict = run.diagnosis["verdict"]
        if verdict not in clinic_cases.CAUSE_OF:
            continue
        truth = clinic_cases.CAUSE_OF[verdict]
        against = clinic_cases._against(run)[truth]
        assert set(against) == set(clinic_cases.OFFERED) - {truth}
        # Scores far above the majority class are no argument that they did not rise.
        if run.final["val_f1_macro"] > run.majority["f1_macro"] + clinic_cases.LEARNED:
            assert "takes the scores up" not in against.get("just right", "")
            assert "near guessing" not in against.get("too low", "")


def test_a_diverged_run_can_be_a_case(diverged_run):
    diverged_run.diagnosis = {"verdict": "diverged", "reasons": ["It broke."], "next_dial": "Lower."}
    case = clinic_cases.case(3, "wrap", diverged_run)
    assert case["run"]["marks"][-1]["validation"] is None
    assert "It broke" not in json.dumps(case)


# The arithmetic


@pytest.fixture(scope="session")
def node() -> str:
    return program("Node.js", "node")


@pytest.fixture
def javascript(node: str, tmp_path: Path) -> Callable[[str, Any], Any]:
    """Run lines that import the page's modules (``PARTS``), take `given` and call ``answer``."""

    def run(code: str, given: Any = None) -> Any:
        head = f"const given = {json.dumps(given)}; const answer = (value) => console.log(JSON.stringify(value));\n"
        file = tmp_path / "asked.mjs"
        file.write_text(code.replace("PARTS", pages.PARTS.as_uri()) + "\n", encoding="utf-8")
        file.write_text(_imports_first(head, file.read_text(encoding="utf-8")), encoding="utf-8")
        done = subprocess.run([node, file], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def _imports_first(head: str, code: str) -> str:
    imports = [line for line in code.splitlines() if line.startswith("import ")]
    return "\n".join([*imports, head, *(line for line in code.splitlines() if line not in imports)])


@pytest.mark.parametrize("file", NODE_TESTS, ids=lambda path: path.name)
def test_nodes_own_tests(node, file):
    done = subprocess.run([node, "--test", file], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"# pass (\d+)", done.stdout)[1]) > 0


@pytest.fixture(scope="module")
def two_weights() -> TwoWeights:
    return TwoWeights(features(split(load()), SgdDials()))


def test_the_pages_average_losses_as_the_notebooks_do(javascript, make_run):
    lengths = [0, 1, 45, 54, 55, 65, 145, 194, 195, 205, 1000]
    runs = [make_run(losses=np.random.default_rng(length).uniform(0, 3, length)) for length in lengths]
    runs += [reference.load(name) for name in reference.names()]
    for run in runs[:: len(lengths)]:
        run.steps[1:3] = [step | {"loss": None} for step in run.steps[1:3]]
    drawn = javascript(
        """
        import { averageWindow, movingAverage } from "PARTS/records.mjs";
        answer(given.map((steps) => [averageWindow(steps), movingAverage(steps)]));
        """,
        [[[step["step"], step["loss"]] for step in run.steps] for run in runs],
    )
    for run, (window, average) in zip(runs, drawn, strict=True):
        assert window == smoothing.window(run)
        assert [math.nan if loss is None else loss for loss in average] == pytest.approx(
            smoothing.moving_average(run).tolist(), nan_ok=True
        )


def test_the_two_word_surface_equals_the_backup_labs(javascript, two_weights):
    points = np.random.default_rng(0).normal(0, 12, (50, 2)).tolist()
    rows = [3, 3, 0, 7]
    found = javascript(
        """
        import { newWalk } from "PARTS/arithmetic.mjs";
        import { makeSurfaces } from "PARTS/surfaces.mjs";
        const place = makeSurfaces(given.model).words;
        const walk = newWalk(place.surface, place.start, 1);
        for (let step = 0; step < 40; step += 1) walk.step({ rate: given.rate, momentum: 0, noise: 0 });
        const { surface } = place;
        answer({
          losses: given.points.map(surface.loss),
          gradients: given.points.map((point) => surface.gradient(point)),
          batches: given.points.map((point) => surface.gradient(point, given.rows)),
          lowest: place.lowest,
          limit: place.limit(0),
          path: walk.points,
        });
        """,
        {"model": facts("playground.html")["model"], "points": points, "rows": rows, "rate": 47.0},
    )
    # The page has the inputs to six places.
    close = {"rel": 1e-4, "abs": 1e-6}
    assert found["losses"] == pytest.approx(two_weights.loss(np.array(points)).tolist(), **close)
    for point, whole, batch in zip(points, found["gradients"], found["batches"], strict=True):
        assert whole == pytest.approx(two_weights.gradient(np.array(point)).tolist(), **close)
        assert batch == pytest.approx(two_weights.gradient(np.array(point), np.array(rows)).tolist(), **close)
    assert found["lowest"] == pytest.approx(two_weights.lowest().tolist(), rel=1e-3)
    assert found["limit"] == pytest.approx(two_weights.stable_limit(), rel=1e-3)
    point, path = np.zeros(2), [[0.0, 0.0]]
    for _ in range(40):
        point = point - 47.0 * two_weights.gradient(point)
        path.append(point.tolist())
    assert np.array(found["path"]) == pytest.approx(np.array(path), rel=1e-3, abs=1e-4)


def test_momentum_is_pytorchs(javascript):
    import torch

    found = javascript(
        """
        import { newWalk, quadratic } from "PARTS/arithmetic.mjs";
        const surface = quadratic([0.02, 2], 0.4);
        const walk = newWalk(surface, [-3, -0.2], 1);
        for (let step = 0; step < 50; step += 1) walk.step({ rate: 0.3, momentum: 0.8, noise: 0 });
        answer({ points: walk.points, curvature: surface.curvature() });
        """
    )
    xx, xy, yy = found["curvature"]
    matrix = np.array([[xx, xy], [xy, yy]])
    assert np.linalg.eigvalsh(matrix) == pytest.approx([0.02, 2])
    weights = torch.tensor([-3.0, -0.2], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([weights], lr=0.3, momentum=0.8)
    path = [weights.tolist()]
    for _ in range(50):
        optimiser.zero_grad()
        (0.5 * weights @ torch.tensor(matrix) @ weights).backward()
        optimiser.step()
        path.append(weights.tolist())
    assert np.array(found["points"]) == pytest.approx(np.array(path), abs=1e-9)


def test_the_valleys_are_where_numpy_finds_them(javascript):
    found = javascript(
        """
        import { makeSurfaces } from "PARTS/surfaces.mjs";
        const { valleys } = makeSurfaces(given);
        const across = Array.from({ length: 61 }, (_, at) => -3 + at / 10);
        answer({
          grid: across.map((y) => across.map((x) => valleys.surface.loss([x, y]))),
          lowest: valleys.lowest,
          steepest: valleys.valleys.map((one) => one.steepest),
        });
        """,
        facts("playground.html")["model"],
    )
    across = np.linspace(-3, 3, 61)
    x, y = np.meshgrid(across, across)
    heights = 0.075 * (x**2 + y**2)
    for at, depth, width in (((-1.3, 0.6), 0.9, 0.4), ((1.1, -0.5), 1.6, 0.9)):
        heights -= depth * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * width**2))
    grid = np.array(found["grid"])
    assert grid - grid.min() == pytest.approx(heights - heights.min(), abs=1e-12)
    row, column = np.unravel_index(heights.argmin(), heights.shape)
    assert found["lowest"] == pytest.approx([across[column], across[row]], abs=0.06)
    assert 0 <= grid.min() < 0.01
    assert found["steepest"][1] > 2 * found["steepest"][0]


# In a browser


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., Any]]:
    """Open a page at a size; at the end, nothing may have complained, and nothing asked the network."""
    complaints, asked, contexts = [], [], []

    def go(address: str, size: tuple[int, int] = PROJECTOR, *, calm: bool = True) -> Any:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce" if calm else "no-preference"
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address if address.startswith("file:") else f"{pages.ASSETS.as_uri()}/{address}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []
    assert not [url for url in asked if not url.startswith("file:")]


def number(text: str) -> float:
    return math.inf if text == "too large" else float(text.replace(",", "").removeprefix("under "))


def set_rate(page: Any, rate: float) -> None:
    page.fill("#rate-text", f"{rate:.6g}")
    page.press("#rate-text", "Enter")


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("surface", ["bowl", "ravine"])
def test_the_ball_diverges_at_the_rate_that_theory_says(visit, surface, momentum):
    page = visit(f"playground.html#surface={surface}&momentum={momentum}")
    low, high = 0.05, 20.0
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        page.click("#reset")
        start = number(page.inner_text("#loss-now"))
        set_rate(page, middle)
        page.click("#run")
        page.click("#run")
        low, high = (low, middle) if number(page.inner_text("#loss-now")) > start else (middle, high)
    # The largest curvature of both is 2.
    assert low == pytest.approx(2 * (1 + momentum) / 2, rel=0.02)


def leave_for_good(page) -> None:
    """Let the ball leave, so that the page shows its limit, and bring it back."""
    page.click("[data-preset=TOO_HIGH]")
    for _ in range(200):
        if page.inner_text("#reading").startswith("Gone"):
            break
        page.click("#step")
    page.click("#reset")


def test_the_limit_shows_once_a_ball_has_left(visit):
    page = visit("playground.html")
    seen = ("#share", "#limit-words", "#limits", "#presets", "#think", "#rate-slider")
    before = " ".join(page.inner_text(part) for part in seen)
    assert not re.search(r"% of|\d . limit|Limit =|curvature", before)
    assert page.locator("#limits span").count() == 0
    leave_for_good(page)
    assert page.locator("#limits span").count() == 1
    assert "% of the limit" in page.inner_text("#share")
    assert "Curvature: by how much the slope changes" in page.inner_text("#limit-words")


def test_dials_presets_and_limit_belong_together(visit):
    page = visit("playground.html")
    leave_for_good(page)
    for surface in ("bowl", "ravine", "valleys", "words"):
        page.check(f"#surfaces input[value={surface}]", force=True)
        for preset, portion in SHARES.items():
            page.click(f"[data-preset={preset}]")
            assert page.get_attribute(f"[data-preset={preset}]", "aria-pressed") == "true"
            told = float(page.inner_text("#share").removesuffix("% of the limit"))
            assert told == pytest.approx(100 * portion, rel=0.01)
    page.check("#surfaces input[value=bowl]", force=True)
    page.locator("#rate-slider").fill("200")
    assert float(page.input_value("#rate-text")) == pytest.approx(math.sqrt(4 / 5000), rel=0.01)
    page.locator("#momentum").fill("0.5")
    assert "2 (1 + 0.5) / largest curvature of 2.00 = 1.50" in page.inner_text("#limit-words")
    assert "AdamW" in page.inner_text("#limit-words")
    page.locator("#noise").fill("3")
    assert page.inner_text("#noise-value") == "50% of the slope"
    for wrong in ("", "fast", "-1", "0", "1e99", "<b>"):
        page.fill("#rate-text", wrong)
        page.press("#rate-text", "Enter")
        assert page.get_attribute("#rate-text", "aria-invalid") == "true"
        assert "above 0" in page.inner_text("#rate-error")
    set_rate(page, 0.3)
    assert page.inner_text("#rate-error") == ""


def test_every_goal_can_be_reached(visit):
    page = visit("playground.html")

    def goal(place: int) -> None:
        page.click(f"#goals li:nth-child({place}) button")

    def reached() -> bool:
        return page.inner_text("#progress").startswith("✓")

    goal(1)
    page.click("#run")
    assert reached()
    assert page.inner_text("#goals li:nth-child(1) button") == "✓"
    goal(2)
    page.click("#reset")
    set_rate(page, 0.52)
    page.click("#run")
    assert reached()
    goal(3)
    page.click("#run")
    assert not reached()
    page.locator("#momentum").fill("0.8")
    set_rate(page, 0.3)
    page.click("#reset")
    page.click("#run")
    assert reached()
    goal(4)
    page.locator("#momentum").fill("0")
    page.click("#run")
    assert not reached()
    page.click("#reset")
    set_rate(page, 0.8)
    page.click("#run")
    assert reached()
    goal(5)
    set_rate(page, 0.2 * float(page.input_value("#rate-text")) / SHARES["JUST_RIGHT"])
    page.click("#run")
    for _ in range(6):
        if not reached():
            page.click("#redraw")
            page.click("#run")
    assert reached()
    goal(6)
    page.locator("#noise").fill("3")
    set_rate(page, 0.3)
    page.click("#run")
    assert not reached()
    set_rate(page, 0.02)
    page.click("#run")
    assert reached()
    assert page.locator("#goals button.done").count() == 6


def test_the_playground_works_by_keyboard_alone(visit):
    page = visit("playground.html")
    tab_to(page, "#surfaces input")
    page.keyboard.press("ArrowRight")
    assert page.is_checked("#surfaces input[value=ravine]")
    tab_to(page, "#map")
    page.keyboard.press("Enter")
    assert page.inner_text("#step-count") == "1"
    assert page.inner_text("#announce").startswith("Step 1. Loss ")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#step-count") == "0"
    page.keyboard.press("Space")
    assert page.inner_text("#step-count") == "60"
    assert "usual start" in page.inner_text("#progress")
    tab_to(page, "#log-scale")
    page.keyboard.press("Space")
    assert page.is_checked("#log-scale")
    for button, step in (("#reset", "0"), ("#run", "60"), ("#step", "61")):
        tab_to(page, button)
        page.keyboard.press("Enter")
        assert page.inner_text("#step-count") == step
    before = float(page.input_value("#rate-text"))
    tab_to(page, "#rate-slider")
    page.keyboard.press("ArrowRight")
    assert float(page.input_value("#rate-text")) > before
    for preset in SHARES:
        tab_to(page, f"[data-preset={preset}]")
        page.keyboard.press("Enter")
    tab_to(page, "#momentum")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#momentum-value") == "0.05"
    tab_to(page, "#noise")
    page.keyboard.press("End")
    assert page.inner_text("#noise-value") == "100% of the slope"
    tab_to(page, "#redraw")
    page.keyboard.press("Enter")
    tab_to(page, "#goals li:nth-child(4) button")
    page.keyboard.press("Enter")
    assert page.is_checked("#surfaces input[value=valleys]")


def test_an_address_repeats_a_demonstration(visit):
    address = "playground.html#surface=words&rate=120&momentum=0.3&noise=4&draw=3&scale=log&goal=5"
    seen = []
    for _ in range(2):
        page = visit(address)
        page.click("#run")
        seen.append(page.get_attribute("#chart", "aria-label"))
        assert page.is_checked("#log-scale")
        assert page.inner_text("#noise-value") == "batch of 4 sentences"
    assert seen[0] == seen[1]
    page.click("#redraw")
    expect(page).to_have_url(re.compile("draw=4"))
    page.click("#run")
    assert page.get_attribute("#chart", "aria-label") != seen[0]
    page.goto(f"{pages.ASSETS.as_uri()}/playground.html#surface=__proto__&rate=-5&noise=9&start=a,b&goal=99")
    assert page.is_checked("#surfaces input[value=bowl]")


def test_run_moves_the_ball_and_can_be_paused_unless_less_motion_is_wanted(visit):
    page = visit("playground.html", calm=False)
    page.click("#run")
    expect(page.locator("#step-count")).to_have_text(re.compile(r"[3-9]|\d\d"))
    assert page.inner_text("#run") == "Pause"
    assert page.inner_text("#announce") == ""
    page.click("#run")
    paused = int(page.inner_text("#step-count"))
    assert 2 < paused < 60
    assert page.inner_text("#announce").startswith(f"Step {paused}.")
    calm = visit("playground.html")
    calm.click("#run")
    assert calm.inner_text("#step-count") == "60"


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_works_in_a_frame_that_keeps_nothing(visit, tmp_path, name):
    """As JupyterLab shows an HTML file: scripts allowed, but no storage and no address of its own."""
    frame = f'<iframe sandbox="allow-scripts" width="1200" height="690" src="{pages.ASSETS.as_uri()}/{name}"></iframe>'
    (tmp_path / "frame.html").write_text(frame, encoding="utf-8")
    inside = visit((tmp_path / "frame.html").as_uri()).frames[1]
    if name == "playground.html":
        inside.click("#run")
        assert inside.inner_text("#step-count") == "60"
    else:
        answer(inside, 0, 0, 0)
        assert inside.is_visible("#answer")
        inside.click("#to-replay")
        assert inside.is_visible("#loader")


# Elements whose boxes may touch each other on purpose: a radio button lies over its label.
MEASURE = """
() => {
  for (const one of document.querySelectorAll(".map, .run-bar")) one.style.position = "relative";
  const shown = (one) => one.checkVisibility() && !one.closest(".unseen, .marks") && one.getClientRects().length > 0;
  const parts = [...document.querySelectorAll(
    "h1, h2, h3, p, li, dt, dd, legend, label, summary, button, output, textarea, canvas, table, svg[role=img], " +
    "input:not([type=radio])"
  )].filter(shown);
  const words = (one) => `${one.tagName}#${one.id} ${one.textContent.trim().slice(0, 30)}`;
  const boxes = parts.map((one) => one.getBoundingClientRect());
  const found = [];
  for (let a = 0; a < parts.length; a += 1) {
    if (boxes[a].left < -0.5 || boxes[a].right > innerWidth + 0.5) found.push(`outside: ${words(parts[a])}`);
    if (parts[a].scrollWidth > parts[a].clientWidth + 1 && getComputedStyle(parts[a]).display !== "inline"
      && !parts[a].matches("input, textarea")) found.push(`cut: ${words(parts[a])}`);
    for (let b = a + 1; b < parts.length; b += 1) {
      if (parts[a].contains(parts[b]) || parts[b].contains(parts[a])) continue;
      const width = Math.min(boxes[a].right, boxes[b].right) - Math.max(boxes[a].left, boxes[b].left);
      const height = Math.min(boxes[a].bottom, boxes[b].bottom) - Math.max(boxes[a].top, boxes[b].top);
      if (width > 1 && height > 1) found.push(`overlap: ${words(parts[a])} | ${words(parts[b])}`);
    }
  }
  for (const drawing of document.querySelectorAll("#chart, #drawing, .loss-chart")) {
    if (!shown(drawing)) continue;
    const frame = drawing.getBoundingClientRect();
    const texts = [...drawing.querySelectorAll("text")];
    const at = texts.map((one) => one.getBoundingClientRect());
    texts.forEach((one, a) => {
      if (at[a].left < frame.left - 1 || at[a].right > frame.right + 1 || at[a].bottom > frame.bottom + 1)
        found.push(`text outside: ${one.textContent}`);
      for (let b = a + 1; b < texts.length; b += 1) {
        const width = Math.min(at[a].right, at[b].right) - Math.max(at[a].left, at[b].left);
        const height = Math.min(at[a].bottom, at[b].bottom) - Math.max(at[a].top, at[b].top);
        if (width > 1 && height > 3) found.push(`texts overlap: ${one.textContent} | ${texts[b].textContent}`);
      }
    });
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
  return found;
}
"""


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_playground_fits(visit, size):
    page = visit("playground.html", size)
    for surface, momentum in (("bowl", 0), ("ravine", 0.9), ("valleys", 0.9), ("words", 0)):
        page.check(f"#surfaces input[value={surface}]", force=True)
        page.locator("#momentum").fill(str(momentum))
        for preset in ("TOO_HIGH", "TOO_LOW", "JUST_RIGHT"):
            page.click(f"[data-preset={preset}]")
            page.click("#reset")
            page.click("#run")
        for scale in ("log", "linear"):
            page.set_checked("#log-scale", scale == "log", force=True)
            assert page.evaluate(MEASURE) == [], (surface, scale)
        if size != PHONE:
            assert page.evaluate("document.documentElement.scrollHeight - innerHeight") <= 0, surface


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_clinic_and_the_replay_fit(visit, size):
    page = visit("clinic.html", size)
    for item in range(1, 5):
        assert page.evaluate(MEASURE) == [], item
        answer(page, item % 4, item, item % 4)
        assert page.evaluate(MEASURE) == [], f"answer {item}"
        page.click("#next-case")
    assert page.evaluate(MEASURE) == [], "the score"
    page.click("#go-on")
    assert page.evaluate(MEASURE) == [], "the gate"
    page.click("#to-replay")
    assert page.evaluate(MEASURE) == [], "the loader"
    page.set_input_files("#file", reference.FOLDER / "over-training.json")
    for _ in range(3):
        page.click("#continue")
    assert page.evaluate(MEASURE) == [], "the replay"
    page.click("#stop")
    page.click("#player summary")
    assert page.evaluate(MEASURE) == [], "the outcome"


# The clinic


def answer(page: Any, cause: int, dial: int, sure: int) -> None:
    """Commit to the choices at these places."""
    for name, place in (("cause", cause), ("dial", dial), ("sure", sure)):
        page.locator(f"input[name={name}]").nth(place).check(force=True)
    page.click("#commit")


def test_the_clinic_works_by_keyboard_alone_and_the_board_reads_its_line(visit):
    page = visit("clinic.html")
    tab_to(page, "#commit")
    page.keyboard.press("Enter")
    assert page.inner_text("#missing") == "Choose a cause and a dial and how sure you are first."
    assert page.evaluate("document.activeElement.name") == "cause"
    chosen = [(0, 2, 0), (1, 7, 3), (2, 0, 1), (3, 5, 2)]
    for item, places in enumerate(chosen, start=1):
        assert page.inner_text("#case-title") == f"Case {item}"
        for name, place in zip(("cause", "dial", "sure"), places, strict=True):
            if not page.evaluate("(name) => document.activeElement.name === name", name):
                tab_to(page, f"input[name={name}]")
            page.keyboard.press("Space")
            for _ in range(place):
                page.keyboard.press("ArrowDown")
        assert page.inner_text("#missing") == ""
        tab_to(page, "#commit")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "answer"
        assert page.locator("#reasons li").count() > 0
        tab_to(page, "#next-case")
        page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "summary"
    tab_to(page, "#group")
    page.keyboard.type("Blue 4")
    text = page.input_value("#line")
    (score,) = share.gather(f"Sam: > {text}\nthanks").scores
    assert score.name == "Blue 4"
    runs = clinic_cases.recorded()
    names = [name for _, name in clinic_cases.choose(runs, set(curve_figures.CURVES.values()))]
    for found, places, name in zip(score.answers, chosen, names, strict=False):
        run = runs[name]
        truth = clinic_cases.CAUSE_OF[run.diagnosis["verdict"]]
        assert found.round == "Activity 1"
        assert (found.cause, found.truth) == (clinic_cases.OFFERED[places[0]], truth)
        dial = clinic.DIALS[places[1]]
        assert (found.dial, found.dial_right) == (dial, dial in clinic_cases.good_dials(run))
        assert found.confidence == (25, 50, 75, 95)[places[2]]
    right = sum(found.right for found in score.answers)
    assert page.inner_text("#summary-title").startswith(f"{right} of 4 causes")
    page.reload()
    expect(page.locator("#rail button.answered")).to_have_count(4)
    page.click("#to-score")
    assert page.input_value("#line") == text


def test_an_answer_tells_the_records_reasons_and_what_speaks_against_a_wrong_cause(visit):
    page = visit("clinic.html")
    runs = clinic_cases.recorded()
    for item, (when, name) in enumerate(clinic_cases.choose(runs, set(curve_figures.CURVES.values())), start=1):
        run = runs[name]
        truth = clinic_cases.CAUSE_OF[run.diagnosis["verdict"]]
        page.click(f"#rail button[aria-label='Case {item}']")
        if when != "Activity 1" and page.is_visible("#open-round"):
            page.click("#open-round")
        assert not page.is_visible("#answer")
        if when != "Activity 1":
            assert percent(run.final["weight_movement"]) in page.inner_text("#case-facts")
        # Before Activity 2 nobody has said what an epoch or a schedule is.
        assert page.locator("#questions .plain-words").is_visible() == (when == "Activity 1")
        said = item % len(clinic_cases.OFFERED)
        answer(page, said, 0, 0)
        assert page.locator("#reasons li").all_inner_texts() == run.diagnosis["reasons"]
        assert f"learning rate of {run.learning_rate:g}" in page.inner_text("#rate")
        right = clinic_cases.OFFERED[said] == truth
        assert page.inner_text("#said").startswith("✓ Right." if right else "✗ Not this.")
        assert page.is_visible("#against") is not right
        assert right or len(page.inner_text("#against")) > 40
    page.click("#to-score")
    (score,) = share.gather(page.input_value("#line")).scores
    assert len(score.answers) == clinic.ITEMS
    assert [one.round for one in score.answers] == [when for when, causes in clinic_cases.PLAN for _ in causes]


def test_cases_on_the_projector_name_no_score_before_it_is_explained(visit):
    page = visit("clinic.html")
    for item in (9, 10, 11):
        page.click(f"#rail button[aria-label='Case {item}']")
        if page.is_visible("#open-round"):
            page.click("#open-round")
        assert page.locator("#questions .plain-words").is_visible()
        assert "weights" not in page.inner_text("#case-facts")
        assert not page.is_visible("#answer")


def test_a_name_that_cannot_travel_is_refused_and_answers_can_be_forgotten(visit):
    page = visit("clinic.html")
    answer(page, 0, 0, 0)
    page.click("#to-score")
    first = page.input_value("#line")
    page.fill("#group", "=1+1")
    assert "Write 1 to 40" in page.inner_text("#group-error")
    assert share.gather(page.input_value("#line")).scores[0].name == ""
    page.click("#anew")
    assert page.inner_text("#anew") == "Really forget these answers?"
    page.click("#anew")
    assert page.locator("#rail button.answered").count() == 0
    answer(page, 0, 0, 0)
    page.click("#to-score")
    assert share.gather(page.input_value("#line")).scores[0].visitor != share.gather(first).scores[0].visitor


# The replay


@pytest.fixture(params=["file", "line"])
def replayed(request, visit) -> tuple[Any, Run]:
    """A page with the over-training run in its replay."""
    run = reference.load("over-training")
    page = visit("clinic.html#replay")
    if request.param == "file":
        page.set_input_files("#file", reference.FOLDER / "over-training.json")
    else:
        text = share.line(run, "Blue 4")
        page.fill("#pasted", f"Sam, 14:05:\n> {text[:300]}\n> {text[300:]} ")
        page.click("#load")
    page.wait_for_selector("#player:not([hidden])")
    return page, run


def test_a_run_is_replayed_epoch_by_epoch_against_time_and_cost(replayed):
    page, run = replayed
    assert not page.is_visible("#outcome")
    started = run.run_id.removesuffix("-just-right")
    assert page.inner_text("#run-title").endswith(started), "the preset would answer the question"
    page.click("#continue")
    page.click("#continue")
    row = run.epochs[1]
    told = page.inner_text("#ask-text")
    assert f"training loss {row['train_loss']:.2f}, validation loss {row['val_loss']:.2f}" in told
    so_far = dict.fromkeys(("time", "cost"))
    for name, value in zip(page.locator("#meters dt").all(), page.locator("#meters b").all(), strict=True):
        so_far[name.inner_text()] = value.inner_text()
    seconds = sum(row["seconds"] for row in run.epochs[:2])
    assert float(so_far["time"].split()[0]) == pytest.approx(seconds, abs=0.51)
    half = Run(**vars(run) | {"epochs": run.epochs[:2]})
    price = facts("clinic.html")["price"]
    assert float(so_far["cost"]) == pytest.approx(seconds / 3600 * price, rel=0.06)
    seconds, money = map(float, re.search(r"about ([\d.]+)\s?s, ([\d.]+)\. Stop", told).groups())
    assert seconds == pytest.approx(convergence(half).epoch_seconds, abs=0.51)
    assert money == pytest.approx(convergence(half).epoch_cost(price), rel=0.06)
    # What lies ahead cannot be looked at.
    page.locator("#scrub").fill("300")
    assert int(page.input_value("#scrub")) == row["epoch"] * run.steps[-1]["step"] / run.epochs[-1]["epoch"]
    page.locator("#scrub").fill("10")
    assert page.inner_text("#scrub-step").startswith("10 of")
    page.click("#one-step")
    page.click("#stop")
    assert page.inner_text("#run-title").endswith(run.run_id)
    assert page.inner_text("#outcome-verdict") == "Overfitting"
    assert page.locator("#outcome-table tbody tr").count() == 3
    assert page.locator("#outcome-reasons li").count() > 0
    page.fill("#price", "2")
    assert float(page.locator("#outcome-table tbody tr:last-child td:last-child").inner_text()) == pytest.approx(
        sum(row["seconds"] for row in run.epochs) / 3600 * 2, rel=0.06
    )
    page.click("#again")
    assert page.inner_text("#ask") == "The model is untrained."


def test_the_replay_plays_each_epoch_unless_less_motion_is_wanted(visit):
    page = visit("clinic.html#replay", calm=False)
    page.set_input_files("#file", reference.FOLDER / "just_right-seed1.json")
    page.click("#continue")
    expect(page.locator("#ask")).to_have_text("Epoch 1 is done.")
    page.click("#continue")
    page.wait_for_selector("#outcome:not([hidden])")
    assert page.inner_text("#ask") == "The run ends here."


def test_hostile_input_is_refused_in_one_sentence_and_never_becomes_part_of_the_page(visit, tmp_path):
    page = visit("clinic.html#replay")
    good = share.line(reference.load("just_right-seed1"), "Blue 4")
    bomb = framing.frame(framing.RUN, share.to_base62(zlib.compress(b'"' + b"a" * 3_000_000 + b'"', 9)))
    other = framing.frame(framing.RUN, share.to_base62(zlib.compress(b'{"n": 5}', 9)))
    for text, reason in (
        ("", "no share line"),
        ("<img src=x onerror=alert(1)>", "no share line"),
        (good[:200], "cut off"),
        (good.replace("-END", "-END", 1)[:-20] + "0" * 16 + "-END", "altered"),
        (good + "\n" + good, "2 share lines"),
        (bomb, "not the record of a run"),
        (other, "not the record of a run"),
        ('{"steps": [1]}', "not the record of a run"),
    ):
        page.fill("#pasted", text)
        page.click("#load")
        expect(page.locator("#load-error")).to_contain_text(reason)
        assert not page.is_visible("#player")
    record = json.loads((reference.FOLDER / "just_right-seed1.json").read_text(encoding="utf-8"))
    nasty = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
    record |= {"run_id": nasty, "diagnosis": {"verdict": nasty, "reasons": [nasty], "next_dial": nasty}}
    file = tmp_path / "run.json"
    file.write_text(json.dumps(record), encoding="utf-8")
    page.set_input_files("#file", file)
    page.wait_for_selector("#player:not([hidden])")
    page.click("#continue")
    page.click("#continue")
    assert page.inner_text("#run-title") == nasty
    assert page.locator("main img, main script").count() == 0
    assert "owned" not in page.title()
    page.click("#other")
    page.set_input_files("#file", {"name": "run.json", "mimeType": "application/json", "buffer": b" " * 4_000_001})
    assert "too large" in page.inner_text("#load-error")


def test_an_answered_case_can_be_replayed(visit):
    page = visit("clinic.html")
    answer(page, 0, 0, 0)
    page.click("#replay-this")
    page.wait_for_selector("#player:not([hidden])")
    assert page.inner_text("#run-title") == "Case 1"
    page.click("#to-clinic")
    assert page.is_visible("#answer")


def test_the_clinic_in_two_tabs_loses_no_case(visit):
    """Both opened before anything was answered; neither sees the other's answers but through what is kept."""
    first = visit("clinic.html")
    second = first.context.new_page()
    second.goto(first.url)
    answer(first, 0, 0, 0)
    expect(second.locator("#rail button.answered")).to_have_count(1)
    second.click("#rail button[aria-label='Case 2']")
    answer(second, 1, 1, 1)
    # The first answer to a case counts, whichever tab a person is in.
    line = second.evaluate("localStorage.getItem('w6w-clinic')")
    first.click("#rail button[aria-label^='Case 2']")
    assert first.is_visible("#answer")
    first.click("#rail button[aria-label='Case 3']")
    answer(first, 2, 2, 2)
    assert (
        json.loads(line)["answers"].items()
        <= json.loads(first.evaluate("localStorage['w6w-clinic']"))["answers"].items()
    )
    for page in (first, second):
        expect(page.locator("#rail button.answered")).to_have_count(3)
        page.reload()
        expect(page.locator("#rail button.answered")).to_have_count(3)
    first.click("#to-score")
    first.click("#anew")
    first.click("#anew")
    expect(second.locator("#rail button.answered")).to_have_count(0)


KEPT = [
    "null",
    "[]",
    "not JSON",
    '{"set": SET, "visitor": 5, "answers": {}, "opened": [0]}',
    '{"set": SET, "visitor": "00000001", "name": "", "answers": null, "opened": [0]}',
    '{"set": SET, "visitor": "1", "name": "<b>", "answers": {"1": [9, 9, "x"], "99": [0, 0, 25]}, "opened": [0]}',
]


@pytest.mark.parametrize("kept", KEPT)
def test_what_another_version_or_a_person_has_put_into_the_storage_stops_nothing(visit, kept):
    page = visit("clinic.html")
    now = json.loads(page.inner_text("#facts") or page.evaluate("document.getElementById('facts').textContent"))["set"]
    page.evaluate("(text) => localStorage.setItem('w6w-clinic', text)", kept.replace("SET", json.dumps(now)))
    page.reload()
    assert page.locator("#rail button.answered").count() == 0
    answer(page, 0, 0, 0)
    page.click("#to-score")
    assert len(share.gather(page.input_value("#line")).scores) == 1
