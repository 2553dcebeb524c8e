// Asks the server for what has changed, and writes it into the page. Names of studies, classes and people are put in as
// text only; the figures are markup that the server has escaped, as in the report.
const BASE = document.querySelector("meta[name=base]").content;
const VERSION = document.querySelector("meta[name=version]").content;
const KEY = location.pathname.startsWith(`${BASE}/study/`) ? location.pathname.slice(`${BASE}/study/`.length).replace(/\/$/, "") : null;
const POLL_MS = 2000, IDLE_POLL_MS = 5000, AWAY_MS = 3000;
const STATES = {
  running: "running", confirming: "confirming", finished: "finished", interrupted: "interrupted", unreadable: "cannot be read",
};
const $ = (id) => document.getElementById(id);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

// An element; a child that is a string becomes text, and null is left out.
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "onclick" || name === "onsubmit") element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// A part of the page that is written anew only when what it shows has changed, so that focus and scrolling stay.
class Part {
  constructor(element, write) {
    Object.assign(this, { element, write, shown: undefined });
  }
  show(data) {
    const text = JSON.stringify(data);
    if (text === this.shown) return;
    this.shown = text;
    const children = this.write(data);
    this.element.hidden = children === null;
    if (children !== null) keepingPlace(this.element, () => this.element.replaceChildren(...[children].flat().filter((child) => child !== null)));
  }
}

// Keeps the focus, and how far regions are scrolled, where a part is written anew.
function keepingPlace(element, change) {
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  const scrolled = [...element.querySelectorAll("[data-scroll]")].map((one) => [one.dataset.scroll, one.scrollLeft, one.scrollTop, one.scrollTop + one.clientHeight >= one.scrollHeight - 4]);
  const opened = [...element.querySelectorAll("details[data-id]")].map((one) => [one.dataset.id, one.open]);
  change();
  for (const [name, open] of opened) {
    const found = element.querySelector(`details[data-id="${CSS.escape(name)}"]`);
    if (found) found.open = open;
  }
  for (const [name, left, top, atEnd] of scrolled) {
    const found = element.querySelector(`[data-scroll="${CSS.escape(name)}"]`);
    if (found) found.scrollTo(left, atEnd ? found.scrollHeight : top);
  }
  if (focused) element.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

const etags = new Map(), kept = new Map();
async function get(path) {
  const headers = etags.has(path) ? { "If-None-Match": etags.get(path) } : {};
  const reply = await fetch(BASE + path, { headers, cache: "no-store" });
  if (reply.status === 304) return kept.get(path);
  if (!reply.ok) throw Object.assign(new Error((await reply.text()).trim()), { told: true });
  etags.set(path, reply.headers.get("ETag"));
  kept.set(path, await reply.json());
  return kept.get(path);
}

async function post(path, content) {
  let reply;
  try {
    reply = await fetch(BASE + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
  } catch {
    throw new Error("The server does not answer. Start `wsml-study serve` again; what you wrote stays here.");
  }
  if (!reply.ok) throw new Error((await reply.text()).trim());
}

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds)), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

function ago(time) {
  const seconds = Date.now() / 1000 - time;
  if (seconds < 90) return "just now";
  if (seconds < 2 * 86400) return `${duration(seconds - (seconds % 60)).replace(/ 0 s$/, "")} ago`;
  return new Date(time * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

const badge = (state) => h("span", { class: `state ${state}` }, STATES[state] ?? state);
const ofAll = (study) => (study.num_trials === null ? `${study.ended} ${study.what} ended` : `${study.ended} of ${study.num_trials} ${study.what}`);
const bar = (value, most, label) => h("progress", { max: most, value, "aria-label": label });

function progressOf(study) {
  if (study.state === "unreadable") return null;
  return study.num_trials === null ? null : bar(study.ended, Math.max(1, study.num_trials), `${ofAll(study)} ended`);
}

function leftText(study) {
  if (study.state === "running" || study.state === "confirming") {
    return study.left_s === null || study.left_s === undefined ? "not known yet" : `about ${duration(study.left_s)}`;
  }
  return null;
}

// ---------------------------------------------------------------- all studies

function listView() {
  const summary = h("p", { class: "facts" }), list = h("ul", { class: "studies" });
  $("main").replaceChildren(h("h1", null, "Studies"), summary, list);
  const rows = new Part(list, (studies) => studies.map(row));
  return async () => {
    const { place, studies } = await get("/api/studies");
    $("place").textContent = place;
    const counts = {};
    for (const study of studies) counts[study.state] = (counts[study.state] ?? 0) + 1;
    const words = Object.entries(STATES).filter(([state]) => counts[state]).map(([state, word]) => `${counts[state]} ${word}`);
    summary.textContent = studies.length ? words.join(", ") : "There are no studies here yet. `wsml-study run STUDY` begins one, and it appears on this page.";
    document.title = counts.running ? `${counts.running} running · studies` : "Studies";
    const order = ["running", "confirming", "interrupted", "unreadable", "finished"];
    rows.show([...studies].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || (b.changed ?? 0) - (a.changed ?? 0)));
    return Boolean(counts.running || counts.confirming);
  };
}

function row(study) {
  const title = h("div", null, h("h2", null, h("a", { href: `${BASE}/study/${study.key}`, "data-id": study.key }, study.name)),
    h("p", { class: "quiet" }, study.dataset ?? ""));
  const state = h("div", null, badge(study.state));
  if (study.state === "unreadable") return h("li", null, title, state, h("p", { class: "bad" }, study.error), h("p"), h("p"));
  const left = leftText(study);
  return h("li", null, title, state,
    h("div", null, h("p", { class: "num" }, ofAll(study)), progressOf(study)),
    h("p", null, ...(study.best ? [h("strong", null, study.best.text), h("span", { class: "quiet" }, ` ${study.metric}, ${study.best.values} (trial ${study.best.trial})`)] : [h("span", { class: "quiet" }, "no value yet")])),
    h("p", { class: "quiet" }, left ? `${left} left`.replace("not known yet left", "time left not known yet") : study.changed ? ago(study.changed) : ""));
}

// ---------------------------------------------------------------- one study

function studyView() {
  const part = (tag, attributes, write) => new Part(h(tag, attributes), write);
  const parts = {
    head: part("div", { class: "top" }, writeHead),
    tiles: part("div", { class: "tiles" }, writeTiles),
    buttons: part("div", null, writeButtons),
    commands: part("section", { "aria-labelledby": "t-commands" }, writeCommands),
    running: part("section", { "aria-labelledby": "t-running" }, writeRunning),
    answer: part("section", { "aria-labelledby": "t-answer" }, writeAnswer),
    ranking: part("section", { "aria-labelledby": "t-ranking" }, writeRanking),
    notes: part("ul", { class: "notes", "aria-label": "Notes" }, writeNotes),
    lines: part("div", null, writeLines),
  };
  const curves = new Figures(h("div", { class: "curves" }));
  const figuresNote = h("p", { class: "quiet" }, "They are being drawn.");
  const more = h("section", { "aria-labelledby": "t-figures" }, h("h2", { id: "t-figures" }, "All figures"), figuresNote);
  const notes = h("section", { "aria-labelledby": "t-notes" }, h("h2", { id: "t-notes" }, "Notes"),
    h("p", { class: "quiet" }, "Kept beside the study, in notes.jsonl."), parts.notes.element, noteForm());
  for (const one of [parts.commands, parts.running, parts.answer, parts.ranking]) one.element.hidden = true;
  const awaited = h("p", { class: "quiet" }, "They are being drawn.");
  const curvesSection = h("section", { "aria-labelledby": "t-curves" }, h("h2", { id: "t-curves" }, "Curves"), awaited, curves.element);
  $("main").replaceChildren(parts.head.element, parts.tiles.element, parts.buttons.element, parts.commands.element,
    parts.running.element, parts.answer.element, curvesSection, parts.ranking.element, notes, more, parts.lines.element);

  const groups = new Map();
  let seen = false, before = null, leader = null, study = null;
  new IntersectionObserver((entries) => { seen = entries.some((entry) => entry.isIntersecting) || seen; if (seen) poll(); }, { rootMargin: "600px" }).observe(more);

  async function showStudy() {
    study = await get(`/api/study/${KEY}${seen ? "?figures" : ""}`);
    $("place").textContent = study.place ?? "";
    document.title = `${study.name} · ${STATES[study.state]}`;
    if (before !== null && before !== study.state) $("said").textContent = `${study.name}: ${STATES[study.state]}`;
    before = study.state;
    const { name, state, error, dataset, driver, metric, report, questions, changed } = study;
    parts.head.show({ name, state, error, dataset, driver, metric, changed: state === "running" ? null : changed });
    if (state === "unreadable") {
      for (const one of [parts.tiles, parts.buttons, parts.running]) one.element.hidden = true;
      return;
    }
    showTiles();
    parts.buttons.show({ offers: study.offers ?? [], report, questions });
    parts.commands.show(study.commands);
    parts.running.show({ running: study.running, of_confirmation: study.of_confirmation, metric });
    parts.notes.show({ notes: study.notes, error: study.notes_error });
    parts.lines.show(study.lines);
  }

  // The best is that of the ranking, once it is there: answers of people may have changed it.
  function showTiles() {
    const { state, ended, num_trials, what, counts, metric, left_s, later_s, confirmation, level } = study;
    const best = leader ?? study.best;
    if (state !== "unreadable") parts.tiles.show({ state, ended, num_trials, what, counts, best, metric, left_s, later_s, confirmation, level });
  }

  async function showResults() {
    const results = await get(`/api/study/${KEY}/results`);
    if (results.error) {
      curvesSection.hidden = true;
      return parts.answer.show({ answer: [], remarks: [results.error] });
    }
    curvesSection.hidden = false;
    parts.answer.show({ answer: results.answer, remarks: results.remarks });
    parts.ranking.show(results.ranking);
    leader = results.best;
    showTiles();
    awaited.remove();
    await curves.show(results.figures);
  }

  async function showFigures() {
    const { sections, error } = await get(`/api/study/${KEY}/figures`);
    figuresNote.textContent = error ?? "As in the report, of what there is now.";
    for (const section of error ? [] : sections) {
      if (!groups.has(section.name)) {
        const figures = new Figures(h("div", { class: "group" }));
        const drawn = section.figures.some((figure) => figure.drawn);
        more.append(h("details", { class: "group", open: drawn }, h("summary", null, section.title), figures.element));
        groups.set(section.name, figures);
      }
      await groups.get(section.name).show(section.figures);
    }
  }
  const versions = {};
  // A part is asked for when the server has a newer one, or none yet.
  const isNew = (kind) => { const version = study.parts?.[kind]; return version === null || version !== versions[kind]; };
  return async () => {
    await showStudy();
    const parts = study.parts ?? {};
    if (isNew("results")) { await showResults(); versions.results = parts.results; }
    if (seen && isNew("figures")) { await showFigures(); versions.figures = parts.figures; }
    return study.state === "running" || study.state === "confirming" || study.commands?.some((run) => run.state === "running");
  };
}

function writeHead({ name, state, error, dataset, driver, changed }) {
  const facts = [dataset, driver ? `run by ${driver}` : null, changed ? `last change ${ago(changed)}` : null].filter(Boolean).join(" · ");
  return [h("div", { class: "head" }, h("h1", null, name), badge(state)), h("p", { class: "facts" }, facts), error ? h("p", { class: "bad" }, error) : null];
}

function writeTiles(study) {
  const { counts, best, confirmation } = study;
  const atWork = study.state === "running" || study.state === "confirming";
  const words = { running: atWork ? "running" : "interrupted", paused: "paused", complete: "complete", stopped: "stopped early", failed: "failed" };
  const states = Object.entries(words).filter(([state]) => counts[state]).map(([state, word]) => `${counts[state]} ${word}`);
  const left = leftText(study);
  const later = study.later_s === null ? "" : `then about ${duration(study.later_s)} of confirmation`;
  const tile = (title, ...content) => h("div", { class: "tile" }, h("h2", null, title), ...content);
  const value = (text, small) => h("p", { class: "value" }, text, small ? h("small", null, ` ${small}`) : null);
  const confirmed = confirmation ? `confirmation: ${confirmation.ended} of ${confirmation.num_trials} runs` : null;
  return [
    tile("Progress", value(String(study.ended), study.num_trials === null ? `${study.what} ended` : `of ${study.num_trials} ${study.what}`), progressOf(study),
      h("p", { class: "quiet" }, [study.level ? `level ${study.level}` : null, ...states, confirmed].filter(Boolean).join(", ") || "none begun")),
    tile(`Best so far, ${study.metric}`, value(best ? best.text : "–"), h("p", { class: "quiet" }, best ? `trial ${best.trial}: ${best.values}` : "No trial has a value yet.")),
    tile("Time left", value(left ?? "–"), h("p", { class: "quiet" }, left ? later || "From the epochs so far." : study.state === "finished" ? "The search has ended." : "Nothing runs; nothing is lost.")),
  ];
}

function writeButtons({ offers, report, questions }) {
  const buttons = offers.map((offer) =>
    h("button", { class: "plain", type: "button", "data-id": offer.action, "aria-disabled": offer.why_not ? "true" : null, title: offer.why_not || null, onclick: () => ask(offer) }, offer.label));
  const links = [
    report ? h("a", { class: "link", href: report, target: "_blank", rel: "noopener", "data-id": "report-link" }, "Open report") : null,
    ...questions.map((one) => h("a", { class: "link", href: `${BASE}/study/${KEY}/questions/${one.number}`, "data-id": `questions-${one.number}` },
      `${one.kind === "audit" ? "Audit" : "Questions"} ${one.number}: ${one.answered} of ${one.total} answered`)),
  ];
  return [h("div", { class: "buttons", role: "group", "aria-label": "Commands and pages of this study" }, buttons, links), h("p", { id: "why", class: "why", role: "status" })];
}

function writeCommands(commands) {
  if (!commands.length) return null;
  return [h("h2", { id: "t-commands" }, "Commands"), ...commands.map((run, index) => {
    const output = h("pre", { tabindex: "0", "data-scroll": String(run.number), "aria-label": `Output of ${run.command}` }, run.output || (run.state === "running" ? "nothing printed yet" : "It printed nothing."));
    const word = run.state === "failed" ? `failed, exit status ${run.status}` : run.state === "lost" ? "was killed" : run.state;
    return h("div", { class: "command" }, h("p", null, h("span", { class: `state ${run.state}` }, word), h("code", null, run.command), h("span", { class: "quiet" }, ago(run.started))),
      h("details", { open: index === 0, "data-id": `run-${run.number}` }, h("summary", null, "Output"), output));
  })];
}

function writeRunning({ running, of_confirmation, metric }) {
  if (!running.length) return null;
  const hosts = running.some((trial) => trial.host);
  const head = ["trial", "config", "slot", ...(hosts ? ["machine"] : []), "epoch", metric, "for"];
  const body = running.map((trial) => h("tr", null,
    h("th", { scope: "row" }, String(trial.trial)), h("td", null, trial.values), h("td", null, trial.slot === null ? "waits for one" : String(trial.slot)),
    hosts ? h("td", null, trial.host ?? "–") : null,
    h("td", null, trial.epochs === null ? String(trial.epoch) : `${trial.epoch} of ${trial.epochs}`, trial.epochs === null ? null : bar(trial.epoch, trial.epochs, `epoch ${trial.epoch} of ${trial.epochs}`)),
    h("td", null, trial.value ?? "–"),
    h("td", null, `${trial.started === null || trial.slot === null ? "–" : duration(Date.now() / 1000 - trial.started)}${trial.attempt > 1 ? `, attempt ${trial.attempt}` : ""}`)));
  return [h("h2", { id: "t-running" }, of_confirmation ? "What runs now, of the confirmation" : "What runs now"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "t-running", "data-scroll": "running", "data-id": "running" },
      h("table", { class: "running" }, h("thead", null, h("tr", null, head.map((name) => h("th", { scope: "col" }, name)))), h("tbody", null, body)))];
}

function writeAnswer({ answer, remarks }) {
  if (!answer.length && !remarks.length) return null;
  return [h("h2", { id: "t-answer" }, "The answer so far"), answer.length ? h("div", { class: "answer" }, answer.map((text) => h("p", null, prose(text)))) : null,
    ...remarks.map((text) => h("p", { class: "quiet" }, prose(text)))];
}

function writeRanking({ head, body, total }) {
  if (!body.length) return null;
  const rest = total > body.length ? `The best ${body.length} of ${total}; \`wsml-study results\` lists all.` : "";
  return [h("h2", { id: "t-ranking" }, "Ranking"), rest ? h("p", { class: "quiet" }, prose(rest)) : null,
    h("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-labelledby": "t-ranking", "data-scroll": "ranking", "data-id": "ranking" },
      h("table", null, h("thead", null, h("tr", null, head.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", null, body.map((cells) => h("tr", null, cells.map((cell) => h("td", null, cell)))))))];
}

function writeNotes({ notes, error }) {
  const shown = [...notes].reverse().map((note) => h("li", null, h("p", null, note.text), h("p", { class: "quiet" }, [note.by, ago(Date.parse(note.at) / 1000)].filter(Boolean).join(" · "))));
  return [...(error ? [h("li", { class: "bad" }, error)] : []), ...shown];
}

function writeLines(lines) {
  return h("details", { "data-id": "lines" }, h("summary", null, prose("As `wsml-study status` prints it")), h("pre", { tabindex: "0", "data-scroll": "lines" }, lines.join("\n")));
}

// Text in which `commands` are set as code.
const prose = (text) => text.split("`").map((part, index) => (index % 2 ? h("code", null, part) : part));

function noteForm() {
  const text = h("textarea", { id: "note", rows: "3", maxlength: "4000", required: true });
  const by = h("input", { id: "by", maxlength: "80", autocomplete: "name" });
  by.value = remembered("by");
  const said = h("p", { class: "why", role: "status" });
  const form = h("form", { class: "note", onsubmit: async (event) => {
    event.preventDefault();
    if (!text.value.trim()) return;
    try {
      await post(`/api/study/${KEY}/notes`, { text: text.value, by: by.value });
      remember("by", by.value);
      text.value = "";
      said.textContent = "Kept.";
      poll();
    } catch (error) {
      said.textContent = error.message;
    }
  } }, h("label", { for: "note" }, "A note"), text, h("div", null, h("div", { class: "name" }, h("label", { for: "by" }, "Your name"), by), h("button", { class: "plain" }, "Add note")), said);
  return form;
}

function remembered(name) {
  try { return localStorage.getItem(`wsml-study ${name}`) ?? ""; } catch { return ""; }
}
function remember(name, value) {
  try { localStorage.setItem(`wsml-study ${name}`, value); } catch { /* the browser keeps nothing; it is asked again */ }
}

// ---------------------------------------------------------------- commands

const FIELDS = {
  trials: { label: "Trials in total", kind: "number", min: 1 },
  budget: { label: "Budget in total, such as 2h or 400epochs", kind: "text" },
  top: { label: "Configs beside the baseline", kind: "number", min: 1 },
  seeds: { label: "Seeds per config, or auto", kind: "text" },
  by: { label: "Which configs", options: { value: "the best of each method", confirmed: "the confirmed ones", front: "the front of two objectives" } },
};

function ask(offer) {
  if (offer.why_not) {
    $("why").textContent = `${offer.label}: ${offer.why_not}`;
    return;
  }
  $("why").textContent = "";
  $("dialog-title").textContent = offer.label;
  $("dialog-says").textContent = offer.says;
  $("dialog-error").hidden = true;
  const inputs = offer.fields.map(({ name, value }) => {
    const { label, kind, min, options } = FIELDS[name];
    const input = options ? h("select", { id: `field-${name}`, name }, Object.entries(options).map(([key, text]) => h("option", { value: key, selected: key === value }, text)))
      : h("input", { id: `field-${name}`, name, type: kind, min, required: true });
    if (!options) input.value = value;
    input.addEventListener("input", preview);
    return { input, shown: h("div", { class: "field" }, h("label", { for: `field-${name}` }, label), input) };
  });
  $("dialog-fields").replaceChildren(...inputs.map((one) => one.shown));
  let newest = 0;
  const order = () => ({ action: offer.action, ...Object.fromEntries(inputs.map(({ input }) => [input.name, input.value])) });
  async function preview() {
    const mine = ++newest;
    $("dialog-run").disabled = true;
    try {
      const reply = await fetch(`${BASE}/api/study/${KEY}/command?${new URLSearchParams(order())}`, { cache: "no-store" });
      const text = await reply.text();
      if (mine !== newest) return;
      if (!reply.ok) throw new Error(text.trim());
      $("dialog-command").textContent = JSON.parse(text).command;
      $("dialog-error").hidden = true;
      $("dialog-run").disabled = false;
    } catch (error) {
      if (mine === newest) complain(error);
    }
  }
  $("dialog").querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    const numbers = Object.fromEntries(Object.entries(order()).map(([name, value]) => [name, /^\d+$/.test(value) ? Number(value) : value]));
    try {
      await post(`/api/study/${KEY}/commands`, { ...numbers, command: $("dialog-command").textContent });
      $("dialog").close();
      $("said").textContent = `${offer.label}: started`;
      poll();
    } catch (error) {
      complain(error);
    }
  };
  $("dialog-cancel").onclick = () => $("dialog").close();
  $("dialog").onclose = () => document.querySelector(`[data-id="${offer.action}"]`)?.focus();
  preview();
  $("dialog").showModal();
}

function complain(error) {
  $("dialog-error").textContent = error.message;
  $("dialog-error").hidden = false;
}

// ---------------------------------------------------------------- figures

let drawing = null;
// The library that draws is loaded when the first chart is about to be seen.
function library() {
  drawing ??= (async () => {
    const colors = fetch(`${BASE}/static/colors.json?v=${VERSION}`).then((reply) => reply.json());
    await new Promise((resolve, reject) => {
      const script = h("script", { src: `${BASE}/static/vega.js?v=${VERSION}` });
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });
    return colors;
  })();
  drawing.catch(() => { drawing = null; });
  return drawing;
}

async function drawChart(place) {
  const colors = await library();
  place.spec ??= place.querySelector("script").textContent;
  const text = dark.matches ? place.spec.replace(/#[0-9a-f]{6}\b/g, (color) => colors[color] ?? color) : place.spec;
  place.view?.finalize();
  // The page's policy forbids `eval`, so Vega interprets its expressions.
  const made = await vegaEmbed(place, JSON.parse(text), {
    renderer: "svg", ast: true, actions: { export: true, source: false, compiled: false, editor: false }, tooltip: { theme: dark.matches ? "dark" : "light" },
  });
  place.view = made;
  place.classList.add("drawn");
}

const waiting = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    waiting.unobserve(entry.target);
    drawChart(entry.target).catch(() => waiting.observe(entry.target));
  }
}, { rootMargin: "400px" });

class Figures {
  constructor(element) {
    Object.assign(this, { element, shown: new Map() });
  }
  async show(figures) {
    const names = new Set(figures.map((figure) => figure.name));
    for (const [name, one] of this.shown) if (!names.has(name)) { one.element.remove(); this.shown.delete(name); }
    for (const { name, html } of figures) {
      const before = this.shown.get(name);
      if (before?.html === html) continue;
      const element = h("template");
      element.innerHTML = html;
      const figure = element.content.querySelector("figure");
      this.shown.set(name, { html, element: figure });
      if (!before) this.element.append(figure);
      else if (before.element.querySelector(".chart.drawn")) await this.exchange(before.element, figure);
      else before.element.replaceWith(figure);
      for (const chart of figure.querySelectorAll(".chart:not(.drawn)")) waiting.observe(chart);
    }
  }
  // Draws the new figure out of sight and then puts it in the old one's place, so that nothing flickers.
  async exchange(old, fresh) {
    fresh.classList.add("fresh");
    this.element.append(fresh);
    const left = [...old.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    try {
      for (const chart of fresh.querySelectorAll(".chart")) await drawChart(chart);
    } finally {
      for (const chart of old.querySelectorAll(".chart")) chart.view?.finalize();
      old.replaceWith(fresh);
      fresh.classList.remove("fresh");
      [...fresh.querySelectorAll(".scroll")].forEach((one, index) => { one.scrollLeft = left[index] ?? 0; });
    }
  }
}
dark.addEventListener("change", () => { for (const chart of document.querySelectorAll(".chart.drawn")) drawChart(chart); });

// ---------------------------------------------------------------- asking again and again

const refresh = KEY === null ? listView() : studyView();
let turn = 0, timer = null, busy = false, again = false;
async function poll() {
  if (busy) { again = true; return; }
  busy = true;
  clearTimeout(timer);
  let pause = IDLE_POLL_MS;
  try {
    if (await refresh()) pause = POLL_MS;
    turn += 1;
    contact("on", "live");
    document.documentElement.dataset.turn = String(turn);
    $("notice").hidden = true;
  } catch (error) {
    pause = AWAY_MS;
    contact("off", error.told ? "not followed" : "no contact");
    $("notice").textContent = error.told ? error.message
      : "The server does not answer. Nothing is lost: studies go on by themselves, and this page goes on when `wsml-study serve` is started again.";
    $("notice").hidden = false;
  }
  busy = false;
  if (again) { again = false; poll(); return; }
  if (!document.hidden) timer = setTimeout(poll, pause);
}
function contact(state, word) {
  $("contact").className = `contact ${state}`;
  $("contact").textContent = word;
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
poll();
