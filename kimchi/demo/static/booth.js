// The visitor's page. Phases: home (asking), work (waiting, drawing, done, refused), rest (preparing, closed, in repair).

import * as calls from "./calls.js";
import * as stage from "./stage.js";
import { begin, current, label, say, speak, text } from "./words.js";

const $ = (id) => document.getElementById(id);
const POLL_MS = 2500, POLL_LOST_MS = 1000, RETRIES = 3;
let setup, root, state = null, offer = null;
let visitor = "", job = null, idle = 0, gallery = -1, last = null, lost = 0;

export function start(element) {
  root = element.querySelector("#booth");
  if (!root || root.dataset.started) return;
  root.dataset.started = "1";
  setup = JSON.parse(root.dataset.setup);
  calls.at(setup.base);
  begin(setup.words, kept("language") || setup.language);
  visitor = kept("visitor") || [...crypto.getRandomValues(new Uint8Array(12))].map((n) => n.toString(16).padStart(2, "0")).join("");
  keep("visitor", visitor);
  listen();
  stage.listen();
  speak(root, current());
  $("prompt").value = kept("prompt");
  poll();
  setInterval(tick, 1000);
}

// ---- what survives a reload of the page, and nothing else

function kept(name) {
  try { return sessionStorage.getItem(`booth-${name}`) ?? ""; } catch { return ""; }
}
function keep(name, value) {
  try { value ? sessionStorage.setItem(`booth-${name}`, value) : sessionStorage.removeItem(`booth-${name}`); } catch { /* a browser without storage forgets */ }
}

// ---- phases

function show(phase) {
  root.dataset.phase = phase;
  for (const id of ["home", "work", "rest"]) $(id).hidden = id !== phase;
}

function rest(kind) {
  show("rest");
  $("rest").classList.toggle("busy", kind === "starting");
  say($("rest-title"), kind === "starting" ? "starting" : `${kind}_title`);
  say($("rest-lead"), kind === "starting" ? "starting_lead" : `${kind}_lead`);
}

function home(clear) {
  if (clear) {
    $("ask").reset();
    $("more").open = false;
    keep("prompt", "");
    marked();
  }
  $("refusal").hidden = true;
  last = null;
  show("home");
}

// ---- the server's state

async function poll() {
  let next = POLL_MS;
  try {
    const told = await calls.ask("state");
    if (state && told.boot !== state.boot) return restarted();
    lost = 0;
    $("network").hidden = true;
    heard(told);
  } catch {
    // One slow answer is no reason to alarm anybody.
    if (++lost > 1) {
      say($("network"), "lost");
      $("network").hidden = false;
    }
    next = POLL_LOST_MS;
  }
  setTimeout(poll, next);
}

/** Another server answers: the page begins anew, and asks again for what was being drawn. */
function restarted() {
  if (job) keep("again", "1");
  location.reload();
}

function heard(told) {
  const before = state;
  state = told;
  root.dataset.hall = told.hall;
  $("miniature").hidden = !told.miniature;
  if (told.gallery !== gallery) hang();
  if (!offer || before?.miniature !== told.miniature) getOffer();
  const able = told.open && told.engine === "ready";
  if (!able && !job) rest(!told.open ? "closed" : ["new", "starting"].includes(told.engine) ? "starting" : "stopped");
  if (able && root.dataset.phase === "rest") home(false);
  if (able && kept("again")) {
    keep("again", "");
    if ($("prompt").value) draw();
  }
}

async function getOffer() {
  try {
    offer = await calls.ask("offer");
    fillOffer();
  } catch { offer = null; }
}

async function hang() {
  try {
    const { version, pictures } = await calls.ask("gallery");
    gallery = version;
    const there = new Map([...$("hung").children].map((one) => [one.dataset.number, one]));
    const wanted = pictures.slice(0, setup.hung).map((number) => there.get(String(number)) ?? thumb(number));
    $("hung").replaceChildren(...wanted);
    $("nothing").hidden = pictures.length > 0;
  } catch { /* asked again with the next poll */ }
}

function thumb(number) {
  const one = document.createElement("img");
  one.dataset.number = number;
  one.src = calls.url(`gallery/${number}`);
  label(one, "alt", "gallery_picture");
  return one;
}

// ---- suggestions

function fillOffer() {
  $("chips").replaceChildren(...offer.themes.map(themeOf));
  const styles = [{ id: "" }, ...offer.styles];
  $("pills").replaceChildren(...styles.map(pill));
  $("styles").hidden = styles.length < 2;
  marked();
}

function named(element, names) {
  element.dataset.names = JSON.stringify(names);
  element.textContent = names[current()] ?? names.en;
}

function themeOf(theme) {
  const box = document.createElement("section");
  box.className = "theme";
  box.dataset.colour = theme.colour;
  const title = document.createElement("h2");
  named(title, theme.name);
  const list = document.createElement("ul");
  for (const prompt of theme.prompts) {
    const item = document.createElement("li");
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = "chip";
    chip.dataset.prompt = prompt.text;
    named(chip, prompt);
    chip.addEventListener("click", () => {
      $("prompt").value = prompt.text;
      keep("prompt", prompt.text);
      $("refusal").hidden = true;
      marked();
      $("draw").focus({ preventScroll: true });
    });
    item.append(chip);
    list.append(item);
  }
  box.append(title, list);
  return box;
}

function marked() {
  for (const chip of document.querySelectorAll("#chips .chip")) chip.setAttribute("aria-pressed", String(chip.dataset.prompt === $("prompt").value));
}

function pill(style) {
  const one = document.createElement("label");
  one.className = "pill";
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "style", value: style.id, checked: !style.id });
  const said = document.createElement("span");
  if (style.id) named(said, style);
  else say(said, "style_none");
  one.append(input, said);
  return one;
}

// ---- one picture

async function draw(tries = 0) {
  if (job) return;
  const prompt = $("prompt").value.trim();
  if (!prompt) return refuseHere("refused_prompt");
  const seed = $("seed").value.trim();
  if (seed && !/^\d{1,10}$/.test(seed)) return refuseHere("refused_seed");
  const style = document.querySelector("#pills input:checked")?.value ?? "";
  job = { abort: new AbortController(), prompt, arms: state?.arms ?? ["kimchi"], tries, ended: false, share: 0 };
  keep("prompt", prompt);
  begun(job);
  try {
    await calls.draw([prompt, style, seed, visitor, current()], (event) => hear(job, event), job.abort.signal);
    if (!job.ended) throw new Error("nothing came");
  } catch (error) {
    if (job && !job.ended && error.name !== "AbortError") broken();
  }
}

function begun({ prompt, arms }) {
  $("refusal").hidden = true;
  show("work");
  stage.clear(arms);
  stage.progress(0);
  $("words").textContent = prompt;
  $("picture").alt = "";
  $("after").hidden = true;
  $("status").hidden = false;
  $("bars").hidden = $("cancel").hidden = false;
  $("retry").hidden = true;
  $("status").classList.remove("said");
  say($("now"), "asking");
  $("then").textContent = "";
  $("then").removeAttribute("data-t");
  $("work-title").focus({ preventScroll: true });
  scrollTo({ top: 0 });
}

function hear(mine, event) {
  if (mine !== job || mine.ended) return;
  if (event.state === "waiting") waiting(event);
  if (event.state === "preview") preview(mine, event);
  if (event.state === "drawn") {
    stage.drawn(event, mine.prompt);
    const next = mine.arms[mine.arms.indexOf(event.arm) + 1];
    stage.busy(next ?? "");
    if (event.arm === "kimchi" && next) {
      say($("now"), "comparing");
      $("cut").hidden = !event.cut;
      if (event.cut) say($("cut"), "cut", { text: event.cut });
    }
  }
  if (event.state === "done") done(mine, event);
  if (event.state === "refused") refused(mine, event);
}

function waiting({ place, seconds }) {
  if (place > 1) say($("now"), "waiting_many", { n: place - 1 });
  else say($("now"), "waiting_next");
  if (seconds) say($("then"), "waiting_seconds", { n: seconds });
}

function preview(mine, event) {
  stage.forming(event);
  stage.busy("");
  if (event.arm === "kimchi") say($("now"), "drawing");
  say($("then"), "step", { step: event.step, steps: event.steps });
  const share = (mine.arms.indexOf(event.arm) + event.step / event.steps) / mine.arms.length;
  mine.share = Math.max(mine.share, share);
  stage.progress(mine.share);
  mine.first ??= performance.now();
}

function done(mine, event) {
  mine.ended = true;
  job = null;
  last = { ...event, prompt: mine.prompt };
  stage.busy("");
  stage.progress(1);
  $("status").hidden = true;
  $("after").hidden = false;
  $("rating").disabled = false;
  $("rated").hidden = true;
  for (const one of document.querySelectorAll(".rate")) one.setAttribute("aria-pressed", "false");
  const file = $("take-file");
  if (file) file.href = calls.url(`take/${event.name}.png`);
  say($("work-title"), "done");
  const partner = mine.arms.includes("base") ? "base" : mine.arms.find((arm) => arm !== "kimchi");
  if (partner && event.pictures[partner]) sweep(partner);
  asleep();
}

/** Once, the handle shows by itself what it is for: half over, and back. */
function sweep(partner) {
  stage.compare(partner);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return stage.place(0);
  const from = performance.now(), slider = $("slider");
  slider.dataset.moved = "";
  const frame = (now) => {
    if (slider.dataset.moved || !last || stage.compared() !== partner) return;
    const t = Math.min(1, (now - from) / 2200);
    stage.place(Math.round(50 * Math.sin(Math.PI * t)));
    if (t < 1) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

function refused(mine, event) {
  mine.ended = true;
  job = null;
  stage.busy("");
  if (event.why === "yours" && mine.tries < RETRIES) return void setTimeout(() => draw(mine.tries + 1), 900);
  if (["closed", "starting", "stopped"].includes(event.why)) return rest(event.why);
  if (event.why === "cancelled") return home(false);
  if (event.why === "busy") return full(mine, event);
  say($("now"), "refused_title");
  say($("then"), `refused_${event.why}`, event);
  $("bars").hidden = true;
  $("status").classList.add("said");
  $("retry").hidden = !["late", "failed"].includes(event.why);
  label($("cancel"), "aria-label", "new");
  say($("cancel"), "new");
  asleep();
}

/** The queue is full: where they would stand, and a new try by itself. */
function full(mine, { seconds, place }) {
  const wait = Math.min(30, Math.max(4, seconds + mine.tries * 3));
  job = { ended: true, prompt: mine.prompt, arms: mine.arms, until: performance.now() + wait * 1000, tries: mine.tries + 1, wait };
  const mineNow = job;
  say($("now"), "refused_busy_title");
  $("bars").hidden = false;
  const countdown = () => {
    if (job !== mineNow) return;
    const left = Math.ceil((mineNow.until - performance.now()) / 1000);
    if (left > 0) {
      say($("then"), "refused_busy_line", { place, n: left });
      stage.progress(1 - left / wait);
      return void setTimeout(countdown, 250);
    }
    job = null;
    draw(mineNow.tries);
  };
  countdown();
}

function broken() {
  const mine = job;
  job = null;
  // The server went away under the brush. The page asks again by itself once it is back; see restarted().
  job = { ended: true, prompt: mine.prompt, arms: mine.arms };
  say($("now"), "lost");
  $("then").textContent = "";
  const again = () => {
    if (!job || job.prompt !== mine.prompt || !job.ended) return;
    if (lost) return void setTimeout(again, 500);
    job = null;
    if (mine.tries < RETRIES) draw(mine.tries + 1);
    else home(false);
  };
  setTimeout(again, 2500);
}

function stop() {
  const mine = job;
  job = null;
  mine?.abort?.abort();
  if (mine && !mine.ended) leave();
  home(false);
  if (state && (!state.open || state.engine !== "ready")) heard(state);
}

/** Tell the server that nobody waits; a beacon also travels while the page is closed. */
function leave() {
  navigator.sendBeacon(calls.url("leave"), new Blob([JSON.stringify({ visitor })], { type: "application/json" }));
}

function refuseHere(key) {
  say($("refusal"), key, { most: 300 });
  $("refusal").hidden = false;
  $("prompt").focus();
}

// ---- after it

async function rate(button) {
  if (!last) return;
  $("rating").disabled = true;
  button.setAttribute("aria-pressed", "true");
  try {
    await calls.ask("rate", { name: last.name, value: Number(button.dataset.value), seed: last.seed, model: last.model, language: current() });
    $("rated").hidden = false;
  } catch {
    $("rating").disabled = false;
    button.setAttribute("aria-pressed", "false");
  }
}

async function takeHome() {
  if (!last) return;
  const { svg } = await calls.ask(`take/${last.name}/qr`);
  // Our own server's drawing of an address of its own; no visitor's words are in it.
  $("qr").innerHTML = svg;
  $("take").showModal();
}

function turn() {
  const next = setup.languages.find((tag) => tag !== current()) ?? current();
  keep("language", next);
  speakAll(next);
}

function speakAll(language) {
  speak(root, language);
  for (const element of root.querySelectorAll("[data-names]")) named(element, JSON.parse(element.dataset.names));
}

// ---- nobody there

const asleep = () => { idle = 0; };

function tick() {
  const away = root.dataset.phase === "home" && !$("prompt").value && !kept("language") ? 0 : 1;
  if (!setup.idle_s || (job && !job.ended) || !away) return asleep();
  idle += 1;
  const left = setup.idle_s - idle;
  if (left <= 10 && left > 0) {
    say($("idle-lead"), "idle_lead", { n: left });
    if (!$("idle").open) {
      for (const one of document.querySelectorAll("#booth dialog[open]")) one.close();
      $("idle").showModal();
    }
  }
  if (left <= 0) reset();
}

/** The next visitor finds the page as the first one did. */
function reset() {
  for (const one of document.querySelectorAll("#booth dialog[open]")) one.close();
  job = null;
  keep("language", "");
  keep("again", "");
  speakAll(setup.language);
  home(true);
  if (state) heard(state);
  scrollTo({ top: 0 });
  asleep();
}

// ---- hands

function listen() {
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    draw();
  });
  $("prompt").addEventListener("input", () => {
    keep("prompt", $("prompt").value);
    marked();
  });
  $("language").addEventListener("click", turn);
  $("home-link").addEventListener("click", () => { if (!job) home(true); });
  $("cancel").addEventListener("click", () => {
    say($("cancel"), "cancel");
    $("cancel").removeAttribute("aria-label");
    $("cancel").removeAttribute("data-l");
    stop();
  });
  $("retry").addEventListener("click", () => draw());
  $("new").addEventListener("click", () => {
    home(true);
    $("prompt").focus({ preventScroll: true });
  });
  $("again").addEventListener("click", () => draw());
  $("take-qr")?.addEventListener("click", takeHome);
  for (const one of document.querySelectorAll(".rate")) one.addEventListener("click", () => rate(one));
  for (const one of document.querySelectorAll("#booth [data-close]")) one.addEventListener("click", () => { asleep(); one.closest("dialog").close(); });
  for (const kind of ["pointerdown", "keydown", "wheel", "touchmove"]) addEventListener(kind, () => { asleep(); if ($("idle").open) $("idle").close(); }, { passive: true });
  addEventListener("pagehide", () => { if (job && !job.ended) leave(); });
  if (setup.kiosk) addEventListener("contextmenu", (event) => event.preventDefault());
}
