"use strict";

// Draws the page from /openapi.json. All text goes in as text, never as markup.

const said = document.body.dataset;
const here = location.origin + said.root;

function make(tag, text, name) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
}

function find(document, schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.split("/").slice(1).reduce((place, key) => place[key], document);
}

function kind(document, field) {
  const one = find(document, (field.anyOf || [field]).find((each) => each.type !== "null"));
  const range = [];
  if (one.minimum !== undefined || one.maximum !== undefined) range.push(`${one.minimum ?? ""}..${one.maximum ?? ""}`);
  if (one.maxLength !== undefined) range.push(`≤ ${one.maxLength}`);
  if (one.enum) range.push(one.enum.join(" | "));
  if (one.const) range.push(one.const);
  if (one.items) range.push((find(document, one.items).enum || [find(document, one.items).type]).join(" | "));
  return [one.type === "array" ? "list" : one.type, ...range].filter(Boolean).join(" ");
}

function table(document, schema) {
  const rows = make("table");
  for (const [name, field] of Object.entries(schema.properties || {})) {
    const row = make("tr");
    const head = make("th");
    head.scope = "row";
    head.append(make("code", name));
    const needed = (schema.required || []).includes(name) && said.required;
    row.append(head, make("td", [kind(document, field), needed].filter(Boolean).join(", "), "kind"), make("td", field.description || ""));
    rows.append(row);
  }
  return rows;
}

function operation(document, path, method, told) {
  const section = make("section");
  const title = make("h3");
  title.append(make("code", method.toUpperCase(), "method"), " ", make("code", path));
  section.append(title, make("p", [told.summary, told.description].filter(Boolean).join(". ")));
  const body = told.requestBody?.content?.["application/json"]?.schema;
  if (body) section.append(make("h4", said.default), table(document, find(document, body)));
  const answers = make("table");
  for (const [status, answer] of Object.entries(told.responses)) {
    const row = make("tr");
    const head = make("th", status);
    head.scope = "row";
    row.append(head, make("td", answer.description));
    answers.append(row);
  }
  section.append(make("h4", said.answers), answers);
  return section;
}

async function draw() {
  document.getElementById("first").textContent =
    `curl ${here}/v1/images/generations -H 'Content-Type: application/json' \\\n  -d '{"prompt": "한국의 라면을 그려줘", "seed": 7, "response_format": "url"}'`;
  document.getElementById("python").textContent =
    `from openai import OpenAI\n\nclient = OpenAI(base_url="${here}/v1", api_key="-")\n` +
    `answer = client.images.generate(prompt="한국의 라면을 그려줘", extra_body={"seed": 7})\nprint(answer.data[0].b64_json[:40])`;
  const answer = await fetch(`${said.root}/openapi.json`);
  const told = await answer.json();
  document.getElementById("version").textContent = told.info.version;
  const place = document.getElementById("paths");
  for (const [path, methods] of Object.entries(told.paths)) {
    for (const [method, one] of Object.entries(methods)) place.append(operation(told, path, method, one));
  }
}

draw();
