// The clinic's page: twelve cases, an answer only after a commitment, and a score line for the board.

import { html } from "./drawing.mjs";
import { loadRun, redrawReplay, setUpReplay } from "./replay.mjs";
import { drawRun, fillFacts, fillKey, fillMarks, fillTable } from "./runchart.mjs";
import { cleanName, newVisitor, scoreLine } from "./score.mjs";
import { unseal } from "./sealed.mjs";

const CAUSE_WORDS = {
  "too low": "Learning rate too low",
  "just right": "Learning rate about right",
  "too high": "Learning rate too high",
  overfitting: "Too many times over the same sentences",
};
const SURE = [
  [25, "25% a guess"],
  [50, "50%"],
  [75, "75%"],
  [95, "95% certain"],
];
const ROUND_WORDS = ["After the break, in pairs", "The wrap", "Practice"];
const GATES = [
  "",
  "Keep these four for the end of the day. They are worth most when you have trained runs of your own: they show what the day has taught you.",
  "Four more for whenever you like. They are harder: their rates lie closer to the borders.",
];
const STORE = "w6w-clinic";

const facts = JSON.parse(document.getElementById("facts").textContent);
const byId = (id) => document.getElementById(id);
const names = new Map(facts.causes);
let kept = fresh();
let current = 1;

// What is kept between two visits, on this machine only

function fresh() {
  return { set: facts.set, visitor: newVisitor(), name: "", answers: {}, opened: [0] };
}

/** What another visit or another tab has stored; null where there is nothing, or nothing that fits these cases. */
function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(STORE));
    const whole = found?.set === facts.set && /^[0-9a-f]{8}$/.test(found.visitor) && Array.isArray(found.opened);
    if (!whole || typeof found.answers !== "object") return null;
    const answers = Object.entries(found.answers ?? {}).filter(([item, answer]) => isAnswer(Number(item), answer));
    return { ...fresh(), visitor: found.visitor, name: cleanName(String(found.name)) ?? "", opened: [...found.opened], answers: Object.fromEntries(answers) };
  } catch {
    // Without storage the page works; it forgets when it is closed.
    return null;
  }
}

function isAnswer(item, answer) {
  const [cause, dial, sure] = Array.isArray(answer) ? answer : [];
  return caseOf(item) !== undefined && names.has(cause) && facts.dials[dial] !== undefined && Number.isFinite(sure);
}

/** Take in what another tab has stored since: a case that is answered stays answered, in whichever tab it was. */
function takeIn() {
  const other = stored();
  if (!other) return;
  const same = other.visitor === kept.visitor;
  kept = {
    ...other,
    name: other.name || (same ? kept.name : ""),
    answers: same ? { ...kept.answers, ...other.answers } : other.answers,
    opened: same ? [...new Set([...kept.opened, ...other.opened])] : other.opened,
  };
}

function store() {
  try {
    localStorage.setItem(STORE, JSON.stringify(kept));
  } catch {
    // As above.
  }
}

// Cases and answers

const caseOf = (item) => facts.cases[item - 1];
const causeWords = (index) => CAUSE_WORDS[names.get(index)];
const inRound = (round) => facts.cases.filter((one) => one.round === round);
const answered = (item) => Object.hasOwn(kept.answers, item);

/** What was said about a case and what is true; the truth opens only with the cause that was committed to. */
function judged(item) {
  const [cause, dial, sure] = kept.answers[item];
  const answer = unseal(caseOf(item).sealed[names.get(cause)], `case ${item}, ${names.get(cause)}`);
  return { item, cause, dial, sure, answer, right: cause === answer.truth, dialRight: answer.good.includes(dial) };
}

const judgedIn = (round) => inRound(round).map(({ item }) => item).filter(answered).map(judged);

function show(part) {
  for (const id of ["case", "gate", "summary"]) byId(id).hidden = id !== part;
  showRail(part);
}

function showRail(part) {
  const groups = ROUND_WORDS.map((words, round) => {
    const buttons = inRound(round).map(({ item }) => {
      const done = answered(item);
      const result = done ? judged(item) : null;
      const mark = result ? (result.right ? "✓" : "✗") : String(item);
      const spoken = `Case ${item}${result ? (result.right ? ", right" : ", wrong") : ""}`;
      const button = html("button", { type: "button", "aria-label": spoken, class: done ? "answered" : "" }, mark);
      button.setAttribute("aria-current", String(part === "case" && item === current));
      button.addEventListener("click", () => openCase(item));
      return html("li", {}, button);
    });
    return html("li", {}, html("p", {}, words), html("ol", {}, ...buttons));
  });
  byId("rail").replaceChildren(...groups);
  if (Object.keys(kept.answers).length) {
    const button = html("button", { type: "button", id: "to-score" }, "Score line");
    button.setAttribute("aria-current", String(part === "summary"));
    button.addEventListener("click", showSummary);
    byId("rail").append(html("li", {}, button));
  }
}

function openCase(item, { focus = true } = {}) {
  current = item;
  const { round, run } = caseOf(item);
  if (!kept.opened.includes(round) && !answered(item)) {
    showGate(round);
    return;
  }
  show("case");
  byId("case-title").textContent = `Case ${item}`;
  // The scores have names once they are explained: after the first round, which follows Activity 2.
  const plain = round === 0 || !inRound(0).every((one) => answered(one.item));
  fillFacts(byId("case-facts"), run, { plain });
  fillMarks(byId("case-table"), run, { plain });
  byId("case-numbers").open = !plain;
  for (const note of document.querySelectorAll(".plain-words")) note.hidden = !plain;
  drawRun(byId("case-loss"), run);
  fillKey(byId("case-key"), run);
  byId("questions").hidden = answered(item);
  byId("answer").hidden = !answered(item);
  byId("missing").textContent = "";
  if (answered(item)) showAnswer(judged(item));
  else byId("questions").reset();
  if (focus) byId("case-title").focus();
}

function showGate(round) {
  show("gate");
  byId("gate-title").textContent = ROUND_WORDS[round];
  byId("gate-text").textContent = GATES[round];
  byId("open-round").onclick = () => {
    takeIn();
    kept.opened.push(round);
    store();
    openCase(current);
  };
  byId("open-round").focus();
}

function commit() {
  const given = new FormData(byId("questions"));
  const asked = [
    ["cause", "a cause"],
    ["dial", "a dial"],
    ["sure", "how sure you are"],
  ];
  const missing = asked.filter(([name]) => !given.has(name));
  if (missing.length) {
    byId("missing").textContent = `Choose ${missing.map(([, words]) => words).join(" and ")} first.`;
    byId("questions").querySelector(`input[name="${missing[0][0]}"]`).focus();
    return;
  }
  takeIn();
  // Answered in another tab meanwhile: the answer that was committed to first counts.
  if (!answered(current)) kept.answers[current] = asked.map(([name]) => Number(given.get(name)));
  store();
  openCase(current, { focus: false });
  byId("answer").focus();
}

const verdictMark = (right) => html("span", { class: `verdict-mark ${right ? "right" : "wrong"}` }, right ? "✓ Right. " : "✗ Not this. ");

function showAnswer({ item, cause, dial, sure, answer, right, dialRight }) {
  byId("said").replaceChildren(verdictMark(right), "You said ", html("b", {}, causeWords(cause).toLowerCase()), `, ${sure}% sure.`);
  byId("truth").textContent = causeWords(answer.truth);
  const called = names.get(answer.truth) === answer.verdict ? "" : ` and ${answer.verdict}`;
  byId("rate").textContent = `It ran with a learning rate of ${answer.rate}${called}.`;
  byId("reasons").replaceChildren(...answer.reasons.map((reason) => html("li", {}, reason)));
  byId("against-part").hidden = right;
  byId("against").textContent = answer.against;
  const good = answer.good.map((index) => facts.dials[index]).join(", or ");
  byId("dial-said").replaceChildren(
    verdictMark(dialRight),
    dialRight ? `You said ${facts.dials[dial]}.` : `You said ${facts.dials[dial]}; better: ${good}.`,
  );
  byId("next-dial").textContent = `The workshop's rules would try: ${answer.next}`;
  const left = inRound(caseOf(item).round).find((one) => !answered(one.item));
  byId("next-case").textContent = left ? "Next case" : "To your score";
  byId("next-case").onclick = () => (left ? openCase(left.item) : showSummary());
  byId("replay-this").onclick = (event) => {
    const told = { title: `Case ${item}`, verdict: answer.verdict, reasons: answer.reasons, next: answer.next };
    loadRun({ ...caseOf(item).run, ...told });
    turnTo(event, true);
  };
}

// The score

function showSummary() {
  const rounds = ROUND_WORDS.map((words, round) => ({ words, round, results: judgedIn(round) })).filter(({ results }) => results.length);
  const all = rounds.flatMap(({ results }) => results);
  const right = all.filter((one) => one.right).length;
  show("summary");
  byId("summary-title").textContent = `${right} of ${all.length} causes, ${all.filter((one) => one.dialRight).length} of ${all.length} dials`;
  byId("summary-text").textContent = [
    ...(rounds.length > 1 ? rounds.map(({ words, results }) => `${words}: ${results.filter((one) => one.right).length} of ${results.length}.`) : []),
    ...sureness(all),
  ].join(" ");
  fillTable(
    byId("summary-table"),
    ["case", "you said", "it was", "sure", "dial"],
    all.map((one) => [
      `${one.item} ${one.right ? "✓" : "✗"}`,
      causeWords(one.cause),
      causeWords(one.answer.truth),
      `${one.sure}%`,
      `${facts.dials[one.dial]} ${one.dialRight ? "✓" : "✗"}`,
    ]),
  );
  byId("group").value = kept.name;
  showLine();
  const next = facts.cases.find(({ item }) => !answered(item));
  byId("go-on").hidden = !next;
  if (next) {
    byId("go-on").textContent = kept.opened.includes(next.round) ? "Go on" : `Later: ${ROUND_WORDS[next.round].toLowerCase()}`;
    byId("go-on").onclick = () => openCase(next.item);
  }
  byId("copied").textContent = "";
  byId("summary").focus();
}

/** How far the sureness was deserved, in a sentence or two. */
function sureness(all) {
  const mean = (values) => Math.round(values.reduce((sum, value) => sum + value, 0) / values.length);
  const told = [`On average you were ${mean(all.map((one) => one.sure))}% sure and ${mean(all.map((one) => 100 * one.right))}% right.`];
  const bold = all.filter((one) => !one.right && one.sure >= 75);
  if (bold.length) told.push(`Sure and wrong: ${bold.map((one) => `case ${one.item}`).join(", ")}. These teach most.`);
  return told;
}

function showLine() {
  const answers = Object.keys(kept.answers).map(Number).map(judged);
  byId("line").value = scoreLine({
    visitor: kept.visitor,
    name: kept.name,
    answers: answers.map((one) => [
      one.item,
      caseOf(one.item).round,
      one.cause,
      one.dial,
      one.sure,
      one.answer.truth,
      Number(one.dialRight),
    ]),
  });
}

function nameTyped() {
  const name = cleanName(byId("group").value);
  byId("group").setAttribute("aria-invalid", String(name === null));
  byId("group-error").textContent =
    name === null ? "Write 1 to 40 letters, digits, blanks, hyphens, full stops or apostrophes, such as Blue 4." : "";
  takeIn();
  kept.name = name ?? "";
  store();
  showLine();
}

async function copyLine() {
  const line = byId("line");
  line.focus();
  line.select();
  try {
    await navigator.clipboard.writeText(line.value);
    byId("copied").textContent = "Copied. Paste it into the room's chat.";
  } catch {
    byId("copied").textContent = "The line is marked: copy it with Ctrl+C (on a Mac, Command+C).";
  }
}

function startAnew() {
  const button = byId("anew");
  if (button.dataset.asked) {
    kept = fresh();
    store();
    delete button.dataset.asked;
    button.textContent = "Start anew for somebody else";
    openCase(1);
    return;
  }
  button.dataset.asked = "yes";
  button.textContent = "Really forget these answers?";
}

// Setting up

function choice(name, value, words) {
  return html("label", {}, html("input", { type: "radio", name, value }), html("span", {}, words));
}

function showPage(replay) {
  byId("clinic").hidden = replay;
  byId("replay").hidden = !replay;
  byId("eyebrow").textContent = replay ? "Replay" : "Curve clinic";
  byId("title").textContent = replay ? "Stop, or continue?" : "What happened in this run?";
  byId("to-clinic").setAttribute("aria-current", replay ? "false" : "page");
  byId("to-replay").setAttribute("aria-current", replay ? "page" : "false");
  redraw();
}

/** Change the page without following its link, which a frame such as JupyterLab's does not allow. */
function turnTo(event, replay) {
  event.preventDefault();
  showPage(replay);
  try {
    history.replaceState(null, "", replay ? "#replay" : "#clinic");
  } catch {
    // In such a frame the address stays as it is.
  }
}

function redraw() {
  if (!byId("clinic").hidden && !byId("case").hidden) drawRun(byId("case-loss"), caseOf(current).run);
  redrawReplay();
}

/** Another tab has changed what is kept: show it, but leave a question alone that is half answered here. */
function otherTab({ key }) {
  if (key !== STORE) return;
  takeIn();
  if (!byId("summary").hidden) {
    if (document.activeElement === byId("group")) showLine();
    else showSummary();
  } else if (!byId("case").hidden && answered(current) && byId("answer").hidden) openCase(current, { focus: false });
  else showRail(byId("gate").hidden ? "case" : "gate");
}

function begin() {
  kept = stored() ?? kept;
  for (const [index, cause] of facts.causes) byId("causes").append(choice("cause", index, CAUSE_WORDS[cause]));
  facts.dials.forEach((dial, index) => byId("dials").append(choice("dial", index, dial)));
  for (const [value, words] of SURE) byId("sure").append(choice("sure", value, words));
  // Not by submitting: JupyterLab shows pages in a frame that blocks forms.
  byId("commit").addEventListener("click", commit);
  byId("questions").addEventListener("change", () => {
    byId("missing").textContent = "";
  });
  byId("group").addEventListener("input", nameTyped);
  byId("copy").addEventListener("click", copyLine);
  byId("anew").addEventListener("click", startAnew);
  setUpReplay(facts);
  const first = facts.cases.find(({ item }) => !answered(item)) ?? facts.cases[0];
  current = first.item;
  openCase(current, { focus: false });
  byId("to-clinic").addEventListener("click", (event) => turnTo(event, false));
  byId("to-replay").addEventListener("click", (event) => turnTo(event, true));
  const fromAddress = () => showPage(location.hash === "#replay");
  fromAddress();
  window.addEventListener("hashchange", fromAddress);
  window.addEventListener("storage", otherTab);
  new ResizeObserver(redraw).observe(document.body);
}

begin();
