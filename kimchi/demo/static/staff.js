// The staff page: asks for the state every two seconds, and turns the switches.

const $ = (id) => document.getElementById(id);
const words = JSON.parse(document.body.dataset.words);
const language = `?lang=${document.documentElement.lang}`;
const fill = (key, values = {}) => Object.entries(values).reduce((text, [name, value]) => text.replaceAll(`{${name}}`, String(value)), words[key] ?? key);

async function post(path, body) {
  return fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

function door() {
  $("door").addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await post("staff/enter", { pin: $("pin").value });
    if (answer.ok) return location.reload();
    const { pause_s } = await answer.json();
    $("said").textContent = pause_s ? fill("staff_shut", { n: pause_s }) : words.staff_wrong;
    $("pin").value = "";
    $("pin").focus();
  });
}

function item(name, value) {
  const box = document.createElement("div");
  const dt = document.createElement("dt");
  const dd = document.createElement("dd");
  dt.textContent = name;
  dd.textContent = value;
  box.append(dt, dd);
  return box;
}

function write(told) {
  document.documentElement.dataset.hall = told.hall;
  $("open").textContent = told.open ? words.staff_open : words.staff_closed;
  $("open").className = told.open ? "good" : "bad";
  $("engine").textContent = fill(`staff_engine_${told.engine}`) + (told.identity.model ? ` · ${told.identity.model}` : "");
  $("engine").className = told.engine === "ready" ? "good" : "bad";
  $("waiting").textContent = told.waiting + (told.stats.drawing ? 1 : 0);
  $("speed").textContent = told.stats.seconds_per_picture ? fill("staff_seconds", { n: told.stats.seconds_per_picture.toFixed(1) }) : "–";
  const degrees = Object.entries(told.temperatures).map(([name, value]) => `${value} °C (${name})`);
  $("temperature").textContent = degrees.join(", ") || words.staff_temperature_none;
  $("memory").textContent = `${told.memory_mib} MiB`;
  $("uptime").textContent = fill("staff_minutes", { n: told.minutes });
  $("safety").textContent = told.checker ? words.staff_safety_on : words.staff_safety_off;
  $("safety").className = told.checker ? "good" : "";
  $("error").hidden = !told.error;
  $("error").textContent = told.error;
  $("close").hidden = !told.open;
  $("reopen").hidden = told.open;
  $("counts").replaceChildren(...Object.entries(told.counts).map(([key, value]) => item(words[`staff_count_${key}`], value)));
  for (const one of document.querySelectorAll("[data-hall-to]")) one.setAttribute("aria-pressed", String(one.dataset.hallTo === told.hall));
  $("block-note").textContent = told.blocklist ? words.staff_block_note : words.staff_block_off;
  $("block").hidden = !told.blocklist;
  fillList($("blocked"), told.blocked);
  fillList($("allowed"), told.allowed);
  $("allowed-title").hidden = !told.allowed.length;
  $("reasons").textContent = Object.entries(told.reasons).map(([name, n]) => `${name} ${n}`).join(" · ");
  hang(told.pictures);
}

function fillList(list, listed) {
  if (list.dataset.held === JSON.stringify(listed)) return;
  list.dataset.held = JSON.stringify(listed);
  list.replaceChildren(...listed.map((word) => {
    const line = document.createElement("li");
    const said = document.createElement("span");
    said.textContent = word;
    line.append(said, button(words.staff_block_remove, `${words.staff_block_remove}: ${word}`, () => turn("forget", word)));
    return line;
  }));
}

function hang(numbers) {
  const box = $("hung");
  if (box.dataset.held === JSON.stringify(numbers)) return;
  box.dataset.held = JSON.stringify(numbers);
  box.replaceChildren(...numbers.map((number, place) => {
    const figure = document.createElement("figure");
    const image = document.createElement("img");
    image.src = `gallery/${number}`;
    image.alt = `${words.gallery_picture} ${place + 1}`;
    figure.append(image, button(words.staff_take_down, `${words.staff_take_down}: ${place + 1}`, () => turn("down", String(number))));
    return figure;
  }));
}

function button(text, label, act) {
  const one = document.createElement("button");
  one.type = "button";
  one.className = "button small";
  one.textContent = text;
  one.setAttribute("aria-label", label);
  one.addEventListener("click", act);
  return one;
}

async function turn(what, value = "") {
  const answer = await post(`staff/switch${language}`, { do: what, what: value });
  if (answer.status === 403) return location.reload();
  $("said").textContent = answer.ok ? words.staff_did : fill("staff_failed", { text: await answer.text() });
  if (answer.ok) write(await answer.json());
}

async function look() {
  try {
    const answer = await fetch(`staff/status${language}`, { cache: "no-store" });
    if (answer.status === 403) return location.reload();
    if (answer.ok) write(await answer.json());
    if ($("said").textContent === words.lost) $("said").textContent = "";
  } catch {
    $("said").textContent = words.lost;
  }
  setTimeout(look, 2000);
}

function desk() {
  $("close").addEventListener("click", () => confirm(words.staff_kill_sure) && turn("close"));
  $("reopen").addEventListener("click", () => turn("open"));
  $("clear").addEventListener("click", () => turn("clear"));
  for (const one of document.querySelectorAll("[data-hall-to]")) one.addEventListener("click", () => turn("hall", one.dataset.hallTo));
  $("block").addEventListener("submit", (event) => {
    event.preventDefault();
    if ($("word").value.trim()) turn(event.submitter?.value ?? "block", $("word").value.trim());
    $("word").value = "";
  });
  $("leave").addEventListener("click", async () => {
    await post("staff/leave", {});
    location.reload();
  });
  look();
}

if (document.body.dataset.inside === "1") desk();
else door();
