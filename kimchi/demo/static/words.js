// Every word on the page, in the language that the visitor chose. A text that is filled in later keeps its key, so that
// a switch of language reaches it too.

let table = {};
let language = "ko";

export const current = () => language;

export function text(key, values = {}) {
  let said = table[language]?.[key] ?? key;
  for (const [name, value] of Object.entries(values)) said = said.replaceAll(`{${name}}`, String(value));
  return said;
}

/** Say something in an element, by its key; an object as a value is a key of its own: { key: "arm_base" }. */
export function say(element, key, values = {}) {
  element.dataset.t = key;
  element.dataset.v = JSON.stringify(values);
  write(element);
}

function write(element) {
  const key = element.dataset.t;
  const values = JSON.parse(element.dataset.v || "{}");
  for (const name of Object.keys(values)) if (values[name]?.key) values[name] = text(values[name].key);
  // Only our own headline holds markup; what visitors type is never written here as markup.
  if (key === "headline") element.innerHTML = text(key);
  else element.textContent = text(key, values);
}

export function label(element, attribute, key, values = {}) {
  element.dataset.l = `${attribute}=${key}`;
  element.dataset.lv = JSON.stringify(values);
  writeLabels(element);
}

function writeLabels(element) {
  const values = JSON.parse(element.dataset.lv || "{}");
  for (const name of Object.keys(values)) if (values[name]?.key) values[name] = text(values[name].key);
  for (const pair of element.dataset.l.split(" ")) {
    const [attribute, key] = pair.split("=");
    element.setAttribute(attribute, text(key, values));
  }
}

export function begin(words, chosen) {
  table = words;
  language = chosen in words ? chosen : Object.keys(words)[0];
}

/** Write every word anew. */
export function speak(root, chosen) {
  language = chosen;
  root.lang = chosen;
  document.documentElement.lang = chosen;
  document.title = text("title");
  for (const element of root.querySelectorAll("[data-t]")) write(element);
  for (const element of root.querySelectorAll("[data-l]")) writeLabels(element);
}
