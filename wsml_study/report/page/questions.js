"use strict";
// The answers live in localStorage, a list per person in the order in which they were given. They are read anew before
// every change, since the page may be open in several tabs.
const data = JSON.parse(document.getElementById("data").textContent);
const KEY = `wsml-study questions ${data.study_id} ${data.set_number}`;
const WORDS = { yes: "yes", no: "no", unsure: "cannot say" };
const KEYS = {
  y: "yes", n: "no", u: "unsure", arrowright: "yes", arrowleft: "no", arrowdown: "unsure",
};
const RETRY_MS = 2000;
const element = (id) => document.getElementById(id);

let state = null;
let canKeep = true;
let sending = false;
let retry = 0;

function read() {
  let kept = null;
  try {
    kept = canKeep ? JSON.parse(localStorage.getItem(KEY)) : null;
  } catch {
    canKeep = false;
  }
  const found = kept ?? state ?? { person: null, people: {}, withdrawn: [], downloaded: true };
  // Without a prototype, so that a person may be called "constructor".
  return { ...found, people: Object.assign(Object.create(null), found.people), person: state ? state.person : found.person };
}

function change(edit) {
  state = read();
  edit(state);
  try {
    localStorage.setItem(KEY, JSON.stringify(state));
  } catch {
    canKeep = false;
  }
}

// Answers that the study has already: of a person who answered in another browser, or before the server was started again.
function takeKnown(into) {
  for (const { by, index, reply, at } of data.known) {
    const list = (into.people[by] ??= []);
    if (!list.some((one) => one.index === index)) list.push({ index, reply, at, sent: true });
  }
}

const mine = () => state.people[state.person] ?? [];
const nextIndex = () => {
  const answered = new Set(mine().map((one) => one.index));
  return data.questions.findIndex((_, index) => !answered.has(index));
};
const total = () => Object.values(state.people).reduce((sum, list) => sum + list.length, 0);
const unsent = () =>
  Object.entries(state.people)
    .flatMap(([by, list]) => list.filter((one) => !one.sent).map((one) => ({ by, ...one })))
    .concat(state.withdrawn)
    .sort((one, other) => (one.at < other.at ? -1 : 1));

function show(id) {
  for (const one of document.querySelectorAll("main")) one.hidden = one.id !== id;
}

function showStart() {
  show("start");
  element("name").value = state.person ?? "";
  element("people").replaceChildren(
    ...Object.entries(state.people).map(([name, list]) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "plain";
      button.textContent = `${name}: ${list.length} of ${data.questions.length}`;
      button.addEventListener("click", () => begin(name));
      item.append(button);
      return item;
    }),
  );
  element("name").focus();
}

function begin(name) {
  change((now) => {
    now.person = name.trim() || data.unnamed;
    now.people[now.person] ??= [];
  });
  showNext();
  if (!element("asking").hidden) element("question").focus();
}

function showNext() {
  zoom(false);
  const index = nextIndex();
  if (index < 0) return showDone();
  const { image, class_name: name, before, after } = data.questions[index];
  const list = mine();
  const last = list.at(-1);
  const changed = last === undefined || data.questions[last.index].class_name !== name;
  show("asking");
  element("picture").src = data.pictures[image];
  element("picture").alt = `Photo ${image}`;
  element("before").textContent = before;
  element("class").textContent = name;
  element("after").textContent = after;
  element("question").classList.remove("changed");
  if (changed) {
    void element("question").offsetWidth; // restarts the animation
    element("question").classList.add("changed");
  }
  element("bar").max = data.questions.length;
  element("bar").value = list.length;
  element("count").textContent = `${list.length + 1} of ${data.questions.length}`;
  element("person").textContent = state.person;
  element("person").title = "Somebody else answers";
  element("person").setAttribute("aria-label", `${state.person} answers; change the person`);
  element("undo").disabled = last === undefined;
  element("last").textContent = last ? `${data.questions[last.index].class_name}: ${WORDS[last.reply]}` : "";
  say(`${last ? `${WORDS[last.reply]}. ` : ""}Question ${list.length + 1} of ${data.questions.length}. ${before}${name}${after}`);
  preload();
  tell();
}

// The next photo is decoded while this one is looked at.
function preload() {
  const answered = new Set(mine().map((one) => one.index));
  const ahead = data.questions.filter((_, index) => !answered.has(index))[1];
  if (ahead) new Image().src = data.pictures[ahead.image];
}

function showDone() {
  show("done");
  const list = mine();
  const count = (reply) => list.filter((one) => one.reply === reply).length;
  element("thanks").textContent = `Thank you, ${state.person}: all ${data.questions.length} questions are answered.`;
  element("tally").textContent = `${count("yes")} yes, ${count("no")} no, ${count("unsure")} cannot say.`;
  element("command").textContent = data.command.replace("{file}", fileName());
  element("offline").hidden = data.reply_to !== null;
  element("served").hidden = data.reply_to === null;
  say(element("thanks").textContent);
  element("thanks").focus();
  tell();
}

function answer(reply) {
  const index = nextIndex();
  if (element("asking").hidden || index < 0) return;
  change((now) => {
    now.people[now.person].push({ index, reply, at: new Date().toISOString(), sent: false });
    now.downloaded = false;
  });
  showNext();
  send();
}

function undo() {
  if (mine().length === 0) return;
  change((now) => {
    const removed = now.people[now.person].pop();
    if (removed.sent && data.reply_to !== null) withdraw(now, { ...removed, by: now.person });
    now.downloaded = false;
  });
  showNext();
  send();
}

// What the study has kept cannot be removed there: "cannot say" takes its place until the question is answered anew.
function withdraw(now, { by, index }) {
  now.withdrawn.push({ by, index, reply: "unsure", at: new Date().toISOString() });
}

function zoom(on) {
  element("photo").setAttribute("aria-pressed", String(on));
}

function say(text) {
  element("said").textContent = text;
}

function complain(text) {
  element("notice").textContent = text;
  element("notice").hidden = text === "";
}

// What the person has to know about answers that are not safe yet.
function tell() {
  const saved = state.downloaded ? `${total()} answers are in your downloads.` : "";
  for (const one of document.querySelectorAll(".saved")) one.textContent = total() ? saved : "";
  if (!canKeep) {
    complain("This browser keeps nothing for this page: download your answers before you close it.");
  } else if (data.reply_to === null) {
    complain("");
  }
}

function asAnswer({ by, index, reply, at }) {
  const { image, class_name } = data.questions[index];
  return { image, class_name, answer: reply, by, at, set_number: data.set_number };
}

const fileName = () => {
  const name = state.person.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  return `${data.study}-answers-${data.set_number}${name ? `-${name}` : ""}.json`;
};

function download() {
  state = read();
  const answers = Object.entries(state.people).flatMap(([by, list]) => list.map((one) => asAnswer({ by, ...one })));
  const { study, study_id, set_number } = data;
  const head = { format: data.format, version: 1, study, study_id, set_number, num_answers: answers.length };
  const lines = answers.map((one) => JSON.stringify(one)).join(",\n");
  const text = `${JSON.stringify(head).slice(0, -1)},"answers":[\n${lines}\n]}\n`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), RETRY_MS);
  change((now) => {
    now.downloaded = true;
  });
  say(`${answers.length} answers are saved as ${fileName()}.`);
  tell();
}

async function post(list) {
  try {
    const reply = await fetch(data.reply_to, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(list.map(asAnswer)),
    });
    return reply.ok ? "" : (await reply.text()).slice(0, 300) || `status ${reply.status}`;
  } catch {
    return "wsml-study does not answer; is `ask --serve` still running?";
  }
}

async function send() {
  if (data.reply_to === null || sending) return;
  sending = true;
  while (unsent().length > 0) {
    const list = unsent().slice(0, 100);
    const failure = await post(list);
    if (failure) {
      complain(`${unsent().length} answers are not kept by the study yet: ${failure} They stay in this browser and are sent again; you can also download them.`);
      clearTimeout(retry);
      retry = setTimeout(send, RETRY_MS);
      break;
    }
    complain("");
    change((now) => list.forEach((one) => noteSent(now, one)));
  }
  sending = false;
}

function noteSent(now, one) {
  const same = (other) => other.index === one.index && other.at === one.at;
  const withdrawn = now.withdrawn.findIndex((other) => same(other) && other.by === one.by);
  const given = now.people[one.by].find(same);
  if (withdrawn >= 0) now.withdrawn.splice(withdrawn, 1);
  else if (given) given.sent = true;
  else if (!now.people[one.by].some((other) => other.index === one.index)) withdraw(now, one); // undone on its way
}

element("who").addEventListener("submit", (event) => {
  event.preventDefault();
  begin(element("name").value);
});
for (const one of document.querySelectorAll("[data-reply]")) one.addEventListener("click", () => answer(one.dataset.reply));
for (const one of document.querySelectorAll(".download")) one.addEventListener("click", download);
element("undo").addEventListener("click", undo);
element("back").addEventListener("click", undo);
element("person").addEventListener("click", showStart);
element("another").addEventListener("click", showStart);
element("photo").addEventListener("click", () => zoom(element("photo").getAttribute("aria-pressed") !== "true"));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.matches?.("input")) return;
  const key = event.key.toLowerCase();
  if (key === "escape") return zoom(false);
  if (!element("start").hidden) return;
  if (key === "z") undo();
  else if (key in KEYS && !element("asking").hidden) answer(KEYS[key]);
  else return;
  event.preventDefault();
});
window.addEventListener("beforeunload", (event) => {
  const open = data.reply_to === null ? total() > 0 && !state.downloaded : unsent().length > 0;
  if (open) event.preventDefault();
});
window.addEventListener("storage", (event) => {
  if (event.key !== KEY || state === null) return;
  state = read();
  if (!element("asking").hidden) showNext();
});

state = read();
change(takeKnown);
if (state.person === null) showStart();
else showNext();
send();
