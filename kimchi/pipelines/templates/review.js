"use strict";
// Labels and captions are anyone's text: they reach the page as textContent and attributes only, never as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const nfc = (text) => text.normalize("NFC");
const bare = (text) => text.normalize("NFD").toLowerCase();
const oneLine = (text) => nfc(text).replace(/\s+/g, " ").trim();
const lengthOf = (text) => [...nfc(text)].length;

// ---- Language

let language = stored("kimchi-review/language") || (/^ko\b/i.test(navigator.language) ? "ko" : "en");

function t(key, values = {}) {
  const text = data.texts[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? values[name].toLocaleString(language) : values[name]));
}

const known = (key, fallback) => (Object.hasOwn(data.texts[language], key) ? t(key) : fallback);

// ---- Decisions: what corrections.jsonl held when the page was made, and over it what is decided here

const PLACE = `kimchi-review/${encodeURIComponent(data.run)}/`;
const KEY = PLACE + data.captions;
const before = new Map(data.corrections.map((found) => [found.id, found]));
const mine = new Map(); // id => correction; null takes back the one that was there before
let steps = []; // [id, what mine held, or "none"], for undo
let savedText = "";

const clean = (found) => ({
  id: String(found.id), caption_ko: oneLine(String(found.caption_ko ?? "")), caption_en: oneLine(String(found.caption_en ?? "")),
  drop: found.drop === true, note: oneLine(String(found.note ?? "")),
});
const same = (a, b) => JSON.stringify(a ? clean(a) : null) === JSON.stringify(b ? clean(b) : null);
const decision = (id) => (mine.has(id) ? mine.get(id) : before.get(id)) ?? null;

function stored(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

function keep() {
  try {
    localStorage.setItem(KEY, JSON.stringify({ mine: [...mine], steps: steps.slice(-500), saved: savedText }));
  } catch { at("no-store").hidden = false; }
}

function recall() {
  mine.clear();
  let found = {};
  try { found = JSON.parse(stored(KEY)) ?? {}; } catch { /* not ours: begin anew */ }
  for (const [id, decided] of found.mine ?? []) if (!same(decided, before.get(id))) mine.set(id, decided && clean(decided));
  steps = found.steps ?? [];
  savedText = found.saved ?? "";
}

function put(id, decided) {
  if (same(decided, before.get(id))) mine.delete(id); else mine.set(id, decided && clean(decided));
}

const step = (id) => steps.push([id, mine.has(id) ? mine.get(id) : "none"]);

function decide(card, decided, saying) {
  if (same(decided, decision(card.id))) { say(t("said_same")); return; }
  step(card.id);
  put(card.id, decided);
  changed([card.id]);
  say(t(saying));
}

function changed(ids) {
  keep();
  for (const id of ids) for (const card of cardsOf.get(id) ?? []) draw(card);
  tell();
}

function undo() {
  const last = steps.pop();
  if (!last) { say(t("said_nothing")); return; }
  const [id, held] = last;
  if (held === "none") mine.delete(id); else mine.set(id, held);
  changed([id]);
  const [card] = cardsOf.get(id) ?? [];
  if (card && !card.place.hidden) focusOn(card);
  say(t("said_undone"));
}

function revert(card) {
  step(card.id);
  mine.delete(card.id);
  changed([card.id]);
  say(t("said_undone"));
}

function toggleDrop(card) {
  const now = decision(card.id);
  if (!card.id) say(t("said_fixed"));
  else if (now?.drop) decide(card, now.caption_ko ? { ...now, drop: false } : null, "said_kept");
  else if (view(card).out) say(t("said_already"));
  else decide(card, { id: card.id, caption_ko: now?.caption_ko, caption_en: now?.caption_en, note: now?.note, drop: true }, "said_dropped");
}

// ---- What a card says now

function view(card) {
  const now = decision(card.id), written = now?.caption_ko || "";
  const taken = card.dropped && before.get(card.id)?.drop && !now?.drop && !written; // a person's own drop, taken back
  return {
    text: written || card.text, en: written ? now.caption_en : card.en, note: now?.note ?? "", drop: Boolean(now?.drop),
    out: Boolean(now?.drop) || (card.dropped && !written && !taken), pending: Boolean(taken), mine: mine.has(card.id), before: before.get(card.id),
  };
}

const named = (card, text) => !card.names.length || card.names.some((name) => nfc(text).includes(nfc(name)));
const nounFirst = (card, text) => card.names.some((name) => nfc(text).startsWith(nfc(name)));

function el(tag, values = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const badge = (kind, key, text) => el("span", { class: `badge ${kind}` }, text ?? t(key));

function badges(card, now) {
  const found = card.flags.map((flag) => badge("look", "", known(`flag_${flag}`, flag)));
  if (now.pending) found.push(badge("mine", "is_pending"));
  else if (now.mine) found.push(badge("mine", now.drop ? "is_mine_dropped" : card.dropped ? "is_mine_rescued" : "is_mine_edited"));
  else if (now.before) found.push(badge("before", now.before.drop ? "is_before_dropped" : "is_before_edited"));
  else if (now.out) found.push(badge("", "is_dropped"));
  if (now.text && !named(card, now.text)) found.push(badge("look", "is_unnamed"));
  return found;
}

function facts(card) {
  const found = [
    card.split && known(`split_${card.split}`, card.split), card.labels.join(" › "), card.by && `${t("by")} ${card.by === "person" ? t("by_person") : card.by}`,
    card.tries > 1 && t("tries", { n: card.tries }), card.group && shots.get(card.group) > 1 && t("scene", { n: shots.get(card.group) }),
    card.group && `${t("group")} ${card.group.slice(0, 8)}`, card.file,
  ];
  return el("p", { class: "facts", title: card.path }, ...found.filter(Boolean).map((fact) => el("span", {}, fact)));
}

const small = (key, text, lang) => text && el("p", { class: "small" }, el("b", {}, `${t(key)} `), el("span", { lang }, text));

function words(card, now) {
  return el("div", { class: "words" },
    el("h3", { lang: data.tag, id: `noun-${card.number}` }, card.noun || t("label_none")), card.romanised && el("span", { class: "romanised" }, card.romanised), ...badges(card, now),
    el("p", { class: "caption", lang: data.tag }, now.text || t("no_caption")),
    small("meaning", now.en, "en"), small("draft", card.draft, "en"), card.dropped && now.out && !now.before?.drop && small("reason", card.reason, "en"),
    now.drop && card.id ? whyField(card, now) : small("noted", now.note));
}

function whyField(card, now) {
  // Not drawn anew: leaving the field for one of the card's buttons must not replace the button under the pointer.
  const onchange = (event) => {
    step(card.id);
    put(card.id, { ...decision(card.id), note: event.target.value });
    keep();
    tell();
  };
  return el("label", { class: "field" }, t("why"), el("input", { value: now.note, class: "why", onchange }));
}

function acts(card, now) {
  if (!card.id) return el("div", { class: "acts" }, facts(card), el("p", { class: "small" }, t("said_fixed")));
  const button = (key, act, label) => el("button", { type: "button", class: key, onclick: act, "aria-describedby": `noun-${card.number}` }, t(label ?? key));
  return el("div", { class: "acts" }, facts(card),
    now.mine && !now.drop && button("revert", () => { revert(card); focusOn(card); }),
    now.drop ? button("keep", () => { toggleDrop(card); focusOn(card); }) : !now.out && button("drop", () => { toggleDrop(card); focusOn(card); }),
    button("edit", () => edit(card), card.dropped && now.out && !now.drop ? "rescue" : "edit"));
}

function thumbnail(card) {
  if (card.unseen) return el("div", { class: "picture" }, el("div", { class: "none", title: card.unseen }, t("no_picture"), el("span", { class: "unseen", lang: "en" }, card.unseen)));
  const image = el("img", { alt: card.noun || card.file, width: 132, height: 132, draggable: "false" });
  if (card.seen) image.src = `data:image/jpeg;base64,${card.picture}`;
  return el("div", { class: "picture" }, image);
}

function draw(card) {
  const now = view(card), had = card.place.contains(document.activeElement) && document.activeElement !== card.place;
  card.hay = bare([card.noun, now.text, now.en, card.draft, card.romanised, ...card.labels, card.path, card.group, card.id, card.reason, now.note].join("\n"));
  card.place.className = `card${now.out ? " out" : ""}${now.mine ? " changed" : ""}`;
  card.place.replaceChildren(card.thumbnail, words(card, now), acts(card, now));
  if (had) card.place.focus({ preventScroll: true });
}

// ---- Editing

function edit(card) {
  if (!card.id) { say(t("said_fixed")); return; }
  const now = view(card);
  const area = (name, value, lang) => el("textarea", { name, rows: 2, lang, spellcheck: "false" }, value);
  const ko = area("caption_ko", now.text, data.tag), en = area("caption_en", now.en, "en"), note = el("input", { name: "note", value: now.note });
  const warning = el("p", { class: "warning", role: "alert" }), apply = el("button", { class: "strong apply" }, t("apply"));
  const warn = () => {
    const text = oneLine(ko.value), lacks = text && !named(card, text);
    warning.textContent = lacks ? t("unnamed", { noun: card.names.join(", ") }) : "";
    apply.textContent = t(lacks ? "apply_anyway" : "apply");
  };
  const close = () => { draw(card); focusOn(card); };
  const submit = (event) => {
    event.preventDefault();
    if (!oneLine(ko.value)) { warning.textContent = t("empty"); ko.focus(); return; }
    const as = clean({ id: card.id, caption_ko: ko.value, caption_en: en.value, note: note.value });
    const untouched = as.caption_ko === oneLine(card.text) && as.caption_en === oneLine(card.en) && !as.note && !before.get(card.id)?.caption_ko;
    decide(card, untouched ? null : as, view(card).out ? "said_rescued" : "said_edited");
    close();
  };
  const onkeydown = (event) => {
    // The Enter and the Escape that end a Hangul syllable are the input method's.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); close(); }
    if (event.key === "Enter" && event.target.tagName !== "BUTTON") submit(event);
  };
  const form = el("form", { class: "words", onsubmit: submit, onkeydown, "aria-labelledby": `noun-${card.number}` },
    el("h3", { lang: data.tag, id: `noun-${card.number}` }, card.noun), card.romanised && el("span", { class: "romanised" }, card.romanised),
    el("label", { class: "field" }, t("caption", { language: data.language[language] }), ko), warning,
    el("label", { class: "field" }, t("caption_en"), en), small("draft", card.draft, "en"), el("label", { class: "field" }, t("note"), note),
    el("div", { class: "acts" }, el("button", { type: "button", class: "cancel", onclick: close }, t("cancel")), apply));
  ko.addEventListener("input", warn);
  card.place.replaceChildren(card.thumbnail, form);
  warn();
  ko.focus();
  ko.setSelectionRange(ko.value.length, ko.value.length);
}

// ---- The sheet

const sheet = at("sheet"), cardsOf = new Map(), shots = new Map();
const cards = data.cards.map((card, number) => ({ ...card, number, seen: false }));
for (const card of cards) {
  if (card.id) cardsOf.set(card.id, [...(cardsOf.get(card.id) ?? []), card]);
  if (card.group) shots.set(card.group, (shots.get(card.group) ?? 0) + 1);
}
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((found) => found.isIntersecting)) {
    const card = cards[Number(entry.target.dataset.number)];
    card.seen = true;
    const image = card.thumbnail.querySelector("img");
    if (image) image.src = `data:image/jpeg;base64,${card.picture}`;
    watcher.unobserve(entry.target);
  }
}, { rootMargin: "900px" });

function place() {
  const parts = [];
  if (at("scenes").checked) {
    const scenes = new Map();
    for (const card of cards) {
      const key = shots.get(card.group) > 1 ? card.group : "";
      if (!scenes.has(key)) scenes.set(key, []);
      scenes.get(key).push(card);
    }
    const alone = scenes.get("") ?? [];
    scenes.delete("");
    for (const found of scenes.values()) parts.push(heading(t("scene", { n: found.length }), found), ...found.map((card) => card.place));
    if (alone.length) parts.push(heading(t("alone"), alone), ...alone.map((card) => card.place));
  } else parts.push(...cards.map((card) => card.place));
  sheet.replaceChildren(...parts);
}

function heading(text, found) {
  const made = el("h2", {}, text);
  made.cards = found;
  return made;
}

const STATES = {
  kept: (card, now) => !now.out, dropped: (card, now) => now.out, mine: (card, now) => now.mine, before: (card, now) => Boolean(now.before),
  flagged: (card) => card.flags.length > 0, retried: (card) => card.tries > 1, unnamed: (card, now) => Boolean(now.text) && !named(card, now.text),
};
const labelKey = (card) => JSON.stringify(card.labels);

function filter() {
  // While a syllable is being composed its last consonant may stand alone; without it the list does not flicker empty.
  const wanted = bare(at("search").value.trim()).replace(/[\u3131-\u3163]$/u, "");
  const label = at("label").value, state = STATES[at("state").value], split = at("split").value, late = at("late").checked;
  const shortest = Number(at("shortest").value) || 0, longest = Number(at("longest").value) || Infinity;
  let n = 0;
  for (const card of cards) {
    const now = view(card), size = lengthOf(now.text);
    const fits = card.hay.includes(wanted) && (!label || labelKey(card) === label) && (!split || card.split === split) && (!state || state(card, now))
      && (!late || (now.text && !nounFirst(card, now.text))) && size >= shortest && size <= longest;
    card.place.hidden = !fits;
    n += fits;
  }
  for (const title of sheet.querySelectorAll(":scope > h2")) title.hidden = title.cards.every((card) => card.place.hidden);
  at("count").value = n === cards.length ? t("count", { n }) : t("count_of", { n, all: cards.length });
  at("clear").hidden = n === cards.length;
  at("nothing").hidden = n > 0;
}

function options(select, all, found) {
  const chosen = select.value;
  select.replaceChildren(el("option", { value: "" }, all), ...found.map(([value, text, n]) => el("option", { value }, `${text} (${n.toLocaleString(language)})`)));
  select.value = found.some(([value]) => value === chosen) ? chosen : "";
}

function tally(keyOf) {
  const counts = new Map();
  for (const card of cards) counts.set(keyOf(card), (counts.get(keyOf(card)) ?? 0) + 1);
  return [...counts];
}

function tell() {
  const states = Object.entries(STATES).map(([key, fits]) => [key, t(`state_${key}`), cards.filter((card) => fits(card, view(card))).length]);
  options(at("state"), t("state_all"), states.filter(([key, , n]) => n > 0 || key === at("state").value));
  options(at("label"), t("label_all"), tally(labelKey).map(([key, n]) => [key, JSON.parse(key).join(" › ") || t("label_none"), n]));
  options(at("split"), t("split_all"), tally((card) => card.split).filter(([key]) => key).map(([key, n]) => [key, known(`split_${key}`, key), n]));
  const numbers = [["kept", data.kept], ["dropped", data.dropped], ["shown", cards.length], ["mine", mine.size]];
  at("numbers").replaceChildren(...numbers.map(([key, n]) => el("div", { class: key }, el("dt", {}, t(`number_${key}`)), el("dd", {}, n.toLocaleString(language)))));
  at("save").textContent = mine.size && text() !== savedText ? t("save_n", { n: mine.size }) : t("save");
  at("undo").disabled = !steps.length;
}

function speak() {
  document.documentElement.lang = language;
  document.title = t("page");
  for (const found of document.querySelectorAll("[data-t]")) found.textContent = t(found.dataset.t);
  for (const found of document.querySelectorAll("[data-label]")) found.setAttribute("aria-label", t(found.dataset.label));
  at("search").placeholder = t("search");
  at("load").title = t("load_hint");
  for (const name of ["ko", "en"]) at(`to-${name}`).setAttribute("aria-pressed", String(name === language));
  const sample = data.terms.sample ? "sample_" : "";
  at("terms").classList.toggle("calm", Boolean(sample));
  at("terms-title").textContent = t(sample ? "sample_title" : "terms_title");
  at("terms-text").textContent = t(sample ? "sample_terms" : "terms");
  at("terms-credit").textContent = data.terms.credit;
  at("run").textContent = data.run;
  at("saved-folder").textContent = data.run;
  at("sample").hidden = cards.length === data.kept + data.dropped;
  at("sample").textContent = t("sample", { all: data.kept + data.dropped, shown: cards.length });
  at("footer").textContent = t("footer", { version: data.version });
  const keys = [["← →", "J K", "key_move"], ["↑ ↓", "key_row"], ["E", "key_edit"], ["D", "key_drop"], ["U", "key_undo"], ["/", "key_search"], ["Enter", "Esc", "key_apply"]];
  at("keys").replaceChildren(...keys.flatMap((row) => [el("dt", {}, ...row.slice(0, -1).map((key) => el("kbd", {}, key))), el("dd", {}, t(row.at(-1)))]));
  for (const card of cards) { card.thumbnail = thumbnail(card); draw(card); }
  place();
  tell();
  filter();
}

let hush = 0;
function say(text) {
  at("said").textContent = text;
  clearTimeout(hush);
  hush = setTimeout(() => { at("said").textContent = ""; }, 5000);
}

// ---- Keyboard

let current = null;

function focusOn(card) {
  if (current) current.place.tabIndex = -1;
  current = card;
  card.place.tabIndex = 0;
  card.place.focus();
}

const visible = () => [...sheet.querySelectorAll(":scope > .card:not([hidden])")].map((found) => cards[Number(found.dataset.number)]);
const across = () => getComputedStyle(sheet).gridTemplateColumns.split(" ").length;

function move(by) {
  const found = visible(), now = found.indexOf(current);
  if (!found.length) return;
  focusOn(found[now < 0 ? 0 : Math.min(Math.max(now + by, 0), found.length - 1)]);
}

const KEYS = {
  j: () => move(1), k: () => move(-1), ArrowRight: () => move(1), ArrowLeft: () => move(-1), ArrowDown: () => move(across()), ArrowUp: () => move(-across()),
  e: () => current && edit(current), d: () => current && toggleDrop(current), u: () => undo(), "/": () => at("search").focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || at("saved").open) return;
  if (event.target === at("search") && event.key === "Escape") { at("search").value = ""; filter(); event.target.blur(); return; }
  if (event.target.closest("input:not([type=checkbox]), textarea, select")) return;
  // With a Korean keyboard the letter keys give jamo; the key's place still says which it is.
  const key = /^[\x20-\x7e]$/.test(event.key) ? event.key.toLowerCase() : event.key.startsWith("Arrow") ? event.key : event.code.replace(/^Key/, "").replace("Slash", "/").toLowerCase();
  const arrow = key.startsWith("Arrow");
  if (!Object.hasOwn(KEYS, key) || (arrow ? !current || !sheet.contains(event.target) : !at("keys-on").checked)) return;
  event.preventDefault();
  KEYS[key]();
});
sheet.addEventListener("focusin", (event) => {
  const found = event.target.closest(".card");
  if (!found) return;
  if (current) current.place.tabIndex = -1;
  current = cards[Number(found.dataset.number)];
  found.tabIndex = 0;
});

// ---- Saving and loading

function decided() {
  const all = new Map(before);
  for (const [id, found] of mine) if (found) all.set(id, found); else all.delete(id);
  return [...all.values()];
}

const text = () => decided().map((found) => `${JSON.stringify(clean(found))}\n`).join("");

async function write(content) {
  if (window.showSaveFilePicker) {
    try {
      const file = await window.showSaveFilePicker({ suggestedName: "corrections.jsonl", types: [{ description: "JSON Lines", accept: { "application/jsonl": [".jsonl"] } }] });
      const stream = await file.createWritable();
      await stream.write(content);
      await stream.close();
      return "file";
    } catch (error) {
      if (error.name === "AbortError") return "";
      if (error.name !== "SecurityError" && error.name !== "NotAllowedError") throw error;
    }
  }
  const address = URL.createObjectURL(new Blob([content], { type: "application/jsonl" }));
  el("a", { href: address, download: "corrections.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  return "download";
}

async function save() {
  const content = text();
  let how = "";
  try { how = await write(content); } catch (error) { say(t("said_not_saved", { why: error.message })); }
  if (!how) return;
  savedText = content;
  keep();
  tell();
  at("saved-title").textContent = t(`saved_${how}`);
  at("saved-where").textContent = t(`saved_${how}_where`);
  at("saved").showModal();
}

function parse(content) {
  return content.split("\n").flatMap((line, number) => {
    if (!line.trim()) return [];
    try {
      const found = JSON.parse(line);
      if (typeof found.id === "string" && found.id) return [clean(found)];
    } catch { /* told below */ }
    throw new RangeError(String(number + 1));
  });
}

async function load(file) {
  let found;
  try { found = parse((await file.text()).replace(/^\ufeff/, "")); } catch (error) { say(t("said_unreadable", { n: Number(error.message) || 1 })); return; }
  take(new Map(found.map((one) => [one.id, one])));
}

function take(found) {
  const fresh = [...found].filter(([id, one]) => !same(one, decision(id)));
  const free = fresh.filter(([id]) => !mine.has(id));
  for (const [id, one] of free) { step(id); put(id, one); }
  changed(free.map(([id]) => id));
  const n = free.length, m = fresh.length - n;
  say(t(m ? "said_loaded_but" : "said_loaded", { n, m }));
}

// Decisions made over an older set of captions, and never written down, lie under another key.
function leftOver() {
  const found = new Map();
  const keys = [];
  try { keys.push(...Object.keys(localStorage).filter((key) => key.startsWith(PLACE) && key !== KEY)); } catch { return { found, keys }; }
  for (const key of keys) {
    try {
      for (const [id, one] of JSON.parse(localStorage.getItem(key)).mine) if (!same(one, before.get(id)) && !mine.has(id)) found.set(id, one);
    } catch { /* not ours */ }
  }
  return { found, keys };
}

function forget(keys) {
  for (const key of keys) localStorage.removeItem(key);
  at("left-over").hidden = true;
}

function offerLeftOver() {
  const { found, keys } = leftOver();
  if (!found.size) { forget(keys); return; }
  at("left-over").hidden = false;
  at("left-over-text").textContent = t("left_over", { n: found.size });
  at("bring").onclick = () => { take(found); forget(keys); };
  at("forget").onclick = () => forget(keys);
}

// ---- Begin

for (const card of cards) {
  card.place = el("article", { class: "card", tabindex: -1, "aria-labelledby": `noun-${card.number}`, "data-number": card.number });
  watcher.observe(card.place);
}
recall();
speak();
if (cards.length) { current = cards[0]; current.place.tabIndex = 0; }
offerLeftOver();
for (const name of ["ko", "en"]) at(`to-${name}`).addEventListener("click", () => {
  language = name;
  try { localStorage.setItem("kimchi-review/language", name); } catch { /* asked again next time */ }
  speak();
  offerLeftOver();
});
let soon = 0;
at("search").addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(filter, 120); });
for (const id of ["label", "state", "split", "shortest", "longest", "late"]) at(id).addEventListener("input", filter);
at("scenes").addEventListener("input", () => { place(); filter(); });
at("clear").addEventListener("click", () => {
  for (const id of ["search", "label", "state", "split", "shortest", "longest"]) at(id).value = "";
  at("late").checked = false;
  filter();
  at("search").focus();
});
at("more").addEventListener("click", () => at("more").setAttribute("aria-expanded", String(at("filters").classList.toggle("open"))));
at("undo").addEventListener("click", undo);
at("save").addEventListener("click", save);
at("load").addEventListener("click", () => at("file").click());
at("file").addEventListener("change", async () => { for (const file of at("file").files) await load(file); at("file").value = ""; });
window.addEventListener("storage", (event) => { if (event.key === KEY) { recall(); for (const card of cards) if (!card.place.querySelector("form")) draw(card); tell(); } });
new ResizeObserver(() => document.documentElement.style.setProperty("--bar", `${at("bar").offsetHeight}px`)).observe(at("bar"));
