import { canUnpack, unpack } from "./packed.mjs";
import { openModel, ranked, withoutEach } from "./reading.mjs";

const began = performance.now();
const facts = JSON.parse(document.getElementById("facts").textContent);
const byId = (id) => document.getElementById(id);
const input = byId("sentence");
const MOST_WORDS = 60;
const WORDS_SHOWN = 4;
const LEAST_MOVE = 0.01;
const PAUSE_WORDS = 350;
const PAUSE_SPOKEN = 900;

const percent = (share) => `${Math.round(100 * share)}%`;
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function part(kind, className, text) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** The card of one model: three bars, a sign where it is unsure, and the words that move it. */
function makeCard(fact) {
  const card = part("section", "card");
  const title = part("h2", "", fact.title);
  const said = part("p", "said");
  const bars = part("ul", "bars");
  const rows = facts.labels.map((label) => {
    const row = part("li", `bar ${label}`);
    const meter = part("progress");
    meter.max = 1;
    meter.value = 0;
    meter.setAttribute("aria-label", `${fact.title}: ${label}`);
    const share = part("span", "share");
    row.append(part("span", "label", label), meter, share);
    bars.append(row);
    return { row, meter, share };
  });
  const sign = part("p", "sign");
  const words = part("div", "words");
  card.append(title, part("p", "note", fact.about), said, bars, sign, words);
  byId("models").append(card);
  return { card, said, rows, sign, words };
}

function showProbabilities(card, fact, probs) {
  const [first, second] = ranked(probs);
  const margin = probs[first] - probs[second];
  card.said.textContent = facts.labels[first];
  card.said.dataset.label = facts.labels[first];
  card.rows.forEach(({ row, meter, share }, at) => {
    meter.value = probs[at];
    share.textContent = percent(probs[at]);
    row.classList.toggle("first", at === first);
  });
  const unsure = margin < facts.narrow;
  card.sign.classList.toggle("unsure", unsure);
  card.sign.textContent = unsure
    ? `Unsure: ${facts.labels[first]} and ${facts.labels[second]} are ${Math.round(100 * margin)} points apart. ${fact.unsure}`
    : fact.sure;
}

function clearCard(card) {
  card.said.textContent = "";
  delete card.said.dataset.label;
  for (const { row, meter, share } of card.rows) {
    meter.value = 0;
    share.textContent = "";
    row.classList.remove("first");
  }
  card.sign.textContent = "";
  card.sign.classList.remove("unsure");
  card.words.replaceChildren();
}

function showWords(card, probs, moves) {
  const [said] = ranked(probs);
  const most = moves
    .map(({ word, probs: without }) => ({ word, move: probs[said] - without[said], other: ranked(without)[0] }))
    .filter(({ move }) => Math.abs(move) >= LEAST_MOVE)
    .sort((a, b) => Math.abs(b.move) - Math.abs(a.move))
    .slice(0, WORDS_SHOWN);
  const heading = part("h3", "", "Words that move it most");
  if (!most.length) {
    const none = moves.length ? "No single word moves it: leave out any one, and the answer stays." : "Type a second word.";
    card.words.replaceChildren(heading, part("p", "note", none));
    return;
  }
  const list = part("ul", "moves");
  for (const { word, move, other } of most) {
    const row = part("li");
    const points = `${move > 0 ? "−" : "+"}${Math.round(100 * Math.abs(move))}`;
    const turned = other === said ? "" : `, and it says ${facts.labels[other]}`;
    const change = `without it ${facts.labels[said]} ${points} percentage points${turned}`;
    row.append(part("b", move > 0 ? "for" : "against", word), part("span", "", change));
    list.append(row);
  }
  card.words.replaceChildren(heading, list);
}

/** Answer what is typed; a newer text makes an older one's work stop at its next word. */
function answerTo(models, cards) {
  let newest = 0;
  return async () => {
    newest += 1;
    const mine = newest;
    const stale = () => mine !== newest;
    const text = input.value.trim();
    byId("cut").textContent = "";
    if (!text) {
      cards.forEach(clearCard);
      byId("spoken").textContent = "";
      return;
    }
    const answers = [];
    for (const [at, ask] of models.entries()) {
      const answer = await ask(text);
      if (stale()) return;
      showProbabilities(cards[at], facts.models[at], answer.probs);
      answers.push(answer);
    }
    document.body.dataset.said = text;
    if (answers[0].lost) byId("cut").textContent = `The last ${answers[0].lost} tokens are not read: it was trained on ${facts.models[0].longest} at most.`;
    await pause(PAUSE_WORDS);
    for (const [at, ask] of models.entries()) {
      const moves = [];
      for (const { word, rest } of withoutEach(text, MOST_WORDS)) {
        if (stale()) return;
        moves.push({ word, probs: (await ask(rest)).probs });
        await pause(0);
      }
      if (stale()) return;
      showWords(cards[at], answers[at].probs, moves);
    }
    document.body.dataset.answered = text;
    await pause(PAUSE_SPOKEN);
    if (stale()) return;
    byId("spoken").textContent = answers
      .map(({ probs }, at) => `${facts.models[at].title}: ${facts.labels[ranked(probs)[0]]}, ${percent(Math.max(...probs))}.`)
      .join(" ");
  };
}

function showLimits() {
  for (const text of facts.limits) byId("limits").append(part("li", "", text));
}

async function start() {
  if (!canUnpack()) throw new Error("This browser is too old for the model: open the page in Chrome, Edge, Firefox 113 or Safari 16.4, or newer.");
  const library = vendor;
  library.env.wasm.numThreads = 1;
  library.env.wasm.wasmBinary = await unpack(byId("wasm"));
  const text = new TextDecoder().decode(await unpack(byId("tokenizer")));
  const tokenizer = new library.Tokenizer(JSON.parse(text), {});
  const models = [];
  for (const [at, fact] of facts.models.entries()) {
    models.push(await openModel(library, await unpack(byId(`model-${at}`)), tokenizer, fact));
  }
  return models;
}

showLimits();
const cards = facts.models.map(makeCard);
document.body.classList.toggle("two", cards.length > 1);
start().then(
  (models) => {
    const answer = answerTo(models, cards);
    input.addEventListener("input", answer);
    for (const button of document.querySelectorAll("#samples button")) {
      button.addEventListener("click", () => {
        input.value = button.textContent;
        input.focus();
        answer();
      });
    }
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    byId("state").textContent = `Ready in ${seconds} s. It works without a network, and nothing that you type leaves this page.`;
    document.body.dataset.ready = seconds;
    answer();
  },
  (problem) => {
    byId("state").textContent = `It cannot start. ${problem.message}`;
    byId("state").classList.add("error");
    input.disabled = true;
  },
);
