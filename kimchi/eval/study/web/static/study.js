// The rating screen. Each answer is written down here first (IndexedDB), then sent, and forgotten only when the server has it.
"use strict";
const at = id => document.getElementById(id);
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("");
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
const kiosk = document.body.dataset.kiosk === "1";
let plan = null, texts = {}, place = 0, seen = null, waiting = [], storable = true, leaving = false;

// ---- what waits to be sent
const opened = new Promise(done => {
  try {
    const ask = indexedDB.open("kimchi-study", 1);
    ask.onupgradeneeded = () => ask.result.createObjectStore("waiting", { keyPath: "uuid" });
    ask.onsuccess = () => done(ask.result);
    ask.onerror = ask.onblocked = () => done(null);
  } catch { done(null); }
});

async function store(mode, act) {
  const db = await opened;
  if (!db) { storable = false; return undefined; }
  return new Promise(done => {
    const work = db.transaction("waiting", mode, { durability: "strict" });
    const ask = act(work.objectStore("waiting"));
    work.oncomplete = () => done(ask.result);
    work.onabort = work.onerror = () => { storable = false; done(undefined); };  // a full disk: memory still has it
  });
}

function keep(to, body) {
  const one = { uuid: random(), at: Date.now(), turn: performance.now(), to, body };
  Object.assign(body, { seat: plan.seat, client_uuid: one.uuid });  // the seat too: at a booth the next rater must not send it as their own
  waiting.push(one);
  tell();
  return store("readwrite", box => box.put(one)).then(flush);
}

function forget(one) {
  waiting = waiting.filter(other => other !== one);
  tell();
  return store("readwrite", box => box.delete(one.uuid));
}

async function post(to, body) {
  try {
    return await fetch(to, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), keepalive: true, signal: AbortSignal.timeout(15000),
    });
  } catch { return null; }
}

let sending = false, failures = 0, trouble = "", timer = 0;
async function flush() {
  if (sending) return;
  sending = true;
  clearTimeout(timer);
  for (let one; (one = waiting.find(other => !other.why));) {
    const answer = await post(one.to, one.body);
    if (answer?.ok) { failures = 0; trouble = ""; await forget(one); continue; }
    const why = await answer?.json().then(said => said.message, () => "");
    if (!answer || answer.status >= 500 || answer.status === 429) {  // it may yet be taken: ask again, ever more slowly
      trouble = why || "";
      timer = setTimeout(flush, Math.min(30000, 500 * 2 ** failures++) * (0.75 + Math.random() / 2));
      break;
    }
    one.why = why || texts.error_400;
    await store("readwrite", box => box.put(one));
  }
  sending = false;
  tell();
}

// ---- what the rater is told
function say(id, text, bad) {
  const line = at(id);
  line.hidden = !text;
  line.classList.toggle("bad", !!bad);
  if (line.firstElementChild.textContent !== text) line.firstElementChild.textContent = text;
}

function tell() {
  if (!plan) return;
  const refused = waiting.filter(one => one.why), open = waiting.length - refused.length;
  say("rejected", refused.length ? fill(texts.rejected, { n: refused.length, why: refused[0].why }) : "", true);
  const cut = failures > 0 || !navigator.onLine;
  say("network", open && trouble ? trouble : open && cut ? fill(texts.offline, { n: open }) : !storable && cut ? texts.unstored : "", !!trouble);
  at("ending").textContent = open ? fill(texts.waiting_end, { n: open }) : refused.length ? fill(texts.rejected, { n: refused.length, why: refused[0].why }) : "";
  if (!at("end").hidden && !waiting.length && !leaving) { leaving = true; location.assign("/exit"); }
}

function announce(text) { at("announced").textContent = text; }

// ---- time: how long the picture has been there, and how long of that it was in view
const watch = { shown: 0, hidden: 0, left: 0 };
function restart() { Object.assign(watch, { shown: performance.now(), hidden: 0, left: document.hidden ? performance.now() : 0 }); }
document.addEventListener("visibilitychange", () => {
  if (document.hidden) watch.left = performance.now();
  else if (watch.left) { watch.hidden += performance.now() - watch.left; watch.left = 0; }
});
const spent = () => Math.round(performance.now() - watch.shown);
const inView = () => Math.max(0, Math.round(spent() - watch.hidden));

// ---- one screen
const screens = () => plan.screens;
const missing = () => screens()[place].criteria.filter(name => !(name in screens()[place].answers));

function show(number) {
  place = number;
  const screen = screens()[place];
  for (const id of ["pause", "end", "practised"]) at(id).hidden = true;
  at("stage").hidden = at("move").hidden = false;
  at("practice").hidden = !screen.practice;
  at("prompt").textContent = screen.prompt;
  at("prompt").lang = screen.lang;
  at("asked").replaceChildren(...screen.criteria.map(criterion));
  [...at("asked").querySelectorAll(".ends")].reduce((above, ends) => { ends.hidden = ends.textContent === above; return ends.textContent; }, "");
  at("comment").hidden = screen.practice;
  at("comment").open = false;
  at("words").value = "";
  at("commented").textContent = "";
  picture();
  progress();
  current();
  readOnly();
  at("stage").scrollTop = 0;
  const real = screens().filter(one => !one.practice);
  announce(`${screen.practice ? texts.practice : fill(texts.of, { all: real.length, n: real.indexOf(screen) + 1 })}. ${screen.prompt}`);
}

function criterion(name) {
  const { text, hint, points, unable, ordered } = plan.criteria[name];
  const box = at("criterion").content.firstElementChild.cloneNode(true);
  box.dataset.name = name;
  box.querySelector("legend").append(text, ...(hint ? [Object.assign(document.createElement("small"), { textContent: hint })] : []));
  const row = box.querySelector(".points");
  row.append(...points.map(one => point(name, one, String(one.value))), point(name, { value: 0, text: unable }, ""));
  row.classList.toggle("worded", !ordered);
  const ends = ordered ? [points[0].text, points.at(-1).text] : [];
  box.querySelector(".ends").append(...ends.map(text => Object.assign(document.createElement("span"), { textContent: text })));
  return box;
}

function point(name, { value, text }, figure) {
  const box = at("point").content.firstElementChild.cloneNode(true), input = box.querySelector("input"), face = box.querySelector("span");
  Object.assign(input, { name, value, checked: screens()[place].answers[name]?.value === value });
  input.setAttribute("aria-label", figure ? `${figure}, ${text}` : text);
  if (figure) face.append(figure, Object.assign(document.createElement("small"), { textContent: text }));
  else { box.classList.add("none"); face.textContent = text; }
  return box;
}

function picture() {
  const screen = screens()[place], image = at("picture");
  seen = null;
  image.hidden = true;
  at("slow").hidden = false;
  at("failed").hidden = true;
  image.onload = () => { image.hidden = false; at("slow").hidden = true; seen = screen; restart(); readOnly(); };
  image.onerror = () => { at("slow").hidden = true; at("failed").hidden = false; };
  image.src = screen.picture_url;
  screens().slice(place + 1, place + 3).forEach(ahead => { ahead.loaded ||= Object.assign(new Image(), { src: ahead.picture_url }); });
}

function progress() {
  const real = screens().filter(screen => !screen.practice), now = real.indexOf(screens()[place]);
  at("where").textContent = now < 0 ? texts.practice_short : `${now + 1} / ${real.length}`;
  const done = real.filter(screen => screen.criteria.every(name => name in screen.answers)).length;
  at("track").setAttribute("aria-valuenow", Math.round(100 * done / real.length));
  at("track").firstElementChild.style.width = `${100 * done / real.length}%`;
  const minutes = Math.max(1, Math.round((real.length - done) * pace() / 60));
  at("left").textContent = now < 0 ? "" : real.length - done > 2 ? fill(texts.left, { n: minutes }) : texts.left_last;
  at("previous").disabled = place === 0 || screens()[place - 1].practice && !screens()[place].practice;
  at("next").textContent = place === screens().length - 1 ? texts.last : texts.next;
}

const paces = [];
function pace() {  // seconds a screen: the rater's own median once there are five of them
  return paces.length < 5 ? plan.seconds_a_screen : paces.toSorted((a, b) => a - b)[paces.length >> 1];
}

function current(name) {
  const next = name ?? missing()[0];
  for (const box of at("asked").children) box.classList.toggle("now", box.dataset.name === next);
  at("next").setAttribute("aria-disabled", missing().length > 0);
}

function answer(name, value) {
  const screen = screens()[place];
  if (seen !== screen || !mine) return;
  const before = screen.answers[name];
  if (before?.value === value) return;
  const rev = (before?.rev ?? 0) + 1;
  screen.answers[name] = { value, rev };
  keep("/api/tap", { trial: screen.trial, criterion: name, value, rev, rt_ms: spent(), shown_ms: inView() });
  if (!before && !missing().length && !screen.practice) paces.push(Math.min(120, spent() / 1000));
  progress();
  current();
  readOnly();
}

at("asked").addEventListener("change", event => answer(event.target.name, Number(event.target.value)));
at("asked").addEventListener("focusin", event => { if (event.target.matches(":focus-visible")) current(event.target.name); });

function forward() {
  if (missing().length) {
    announce(texts.unanswered);
    at("asked").querySelector(".now input:checked, .now input")?.focus();
    return;
  }
  const after = screens()[place + 1];
  if (!after) return finish();
  if (screens()[place].practice && !after.practice) return rest("practised");
  const done = screens().slice(0, place + 1).filter(screen => !screen.practice).length;
  if (plan.break_every && done % plan.break_every === 0 && screens().length - place > 6 && !screens()[place].rested) {  // near the end nobody wants one
    screens()[place].rested = true;
    at("rested").textContent = fill(texts.break, { all: screens().filter(screen => !screen.practice).length, done });
    return rest("pause");
  }
  show(place + 1);
}

function rest(id) {
  at("stage").hidden = at("move").hidden = true;
  at(id).hidden = false;
  at(id).querySelector("h1").focus();
}

function finish() {
  rest("end");
  flush();
  tell();
}

at("next").addEventListener("click", forward);
at("previous").addEventListener("click", () => show(place - 1));
at("reload").addEventListener("click", picture);
at("retry").addEventListener("click", () => { waiting.forEach(one => delete one.why); flush(); });
for (const button of document.querySelectorAll("[data-onward]")) button.addEventListener("click", () => show(place + 1));
at("keep-words").addEventListener("click", () => {
  const text = at("words").value.trim();
  if (!text) return;
  if (text.length > plan.comment_chars) { at("commented").textContent = fill(texts.comment_long, { n: plan.comment_chars }); return; }
  keep("/api/comment", { trial: screens()[place].trial, text });
  at("commented").textContent = texts.comment_saved;
});

// ---- keys: 1 to 5, 0, Enter. By their place on the keyboard, so that a Korean input method does not swallow them
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector("dialog[open]") || !plan || at("stage").hidden) return;
  if (event.target.closest("textarea, summary, a") || !at("keys").checked) return;
  const digit = /^(?:Digit|Numpad)([0-5])$/.exec(event.code);
  if (digit) press(digit[1]);
  else if (event.key === "Enter" && !event.target.closest("button")) forward();
  else return;
  event.preventDefault();
});

function press(digit) {
  const boxes = [...at("asked").children], box = boxes.find(one => one.classList.contains("now")) ?? boxes.at(-1);
  const input = box?.querySelector(`input[value="${digit}"]`);
  if (!input || box.disabled) return;
  input.checked = true;
  answer(input.name, Number(digit));
  announce(`${box.querySelector("legend").textContent}: ${input.ariaLabel}`);
}
at("keys").checked = kiosk || localStorage.getItem("kimchi-keys") !== "off";  // at a booth the next person begins anew
at("keys").addEventListener("change", () => localStorage.setItem("kimchi-keys", at("keys").checked ? "on" : "off"));

// ---- one window at a time: the server knows which
const tab = random();
let mine = true;
async function claim(take) {
  const answer = await post("/api/tab", { tab, take: !!take });
  if (!answer?.ok) return;  // no connection is no reason to stop answering
  const was = mine;
  mine = (await answer.json()).here;
  if (mine && !was) return location.reload();  // the other window may have answered more
  readOnly();
}
function readOnly() {
  at("second").hidden = mine;
  for (const box of at("asked").children) box.disabled = !mine || seen !== screens()[place];
}
at("take").addEventListener("click", () => claim(true));
addEventListener("pagehide", () => {
  for (const one of waiting.filter(other => !other.why).slice(0, 20)) post(one.to, one.body);  // outlives the page; sent twice it is one
  navigator.sendBeacon("/api/tab", new Blob([JSON.stringify({ tab, leave: true })], { type: "application/json" }));
});
addEventListener("online", () => { failures = 0; flush(); });
addEventListener("offline", tell);
addEventListener("pageshow", event => { if (event.persisted) location.reload(); });

at("stop").addEventListener("click", () => at("stopping").showModal());

// ---- a booth: nobody there for a while, and the next person finds the first page
let idle = 0;
function awake() {
  if (!kiosk) return;
  clearTimeout(idle);
  idle = setTimeout(asleep, 1000 * plan.idle_seconds);
}
function asleep() {
  let left = plan.grace_seconds;
  const tick = () => {
    if (!at("idle").open) return awake();
    at("idling").textContent = fill(texts.idle, { n: left });
    if (left-- <= 0) at("leave").requestSubmit(); else idle = setTimeout(tick, 1000);
  };
  at("idle").showModal();
  tick();
}
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { if (plan && !at("idle").open) awake(); });
at("idle").addEventListener("close", awake);

// ---- begin
async function begin() {
  waiting = ((await store("readonly", box => box.getAll())) ?? []).sort((a, b) => a.at - b.at || a.turn - b.turn);
  const answer = await fetch("/api/plan", { cache: "no-store" }).catch(() => null);
  if (!answer?.ok) return answer ? location.assign("/") : setTimeout(begin, 2000);
  plan = await answer.json();
  texts = plan.texts;
  for (const { to, body } of waiting) {
    const screen = to === "/api/tap" && screens().find(one => one.trial === body.trial);
    if (screen && (screen.answers[body.criterion]?.rev ?? 0) < body.rev) screen.answers[body.criterion] = { value: body.value, rev: body.rev };
  }
  await claim(false);
  setInterval(() => claim(false), 8000);
  const open = screens().findIndex(screen => !screen.criteria.every(name => name in screen.answers) && !(screen.practice && plan.started));
  if (open < 0) finish(); else show(open);
  awake();
  flush();
}
begin();
