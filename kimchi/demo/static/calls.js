// What the page asks of the server: a drawing through Gradio's queue, and small questions of the booth's own.

let base = "";

export function at(prefix) {
  base = prefix;
}

export const url = (path) => `${base}/booth/${path}`;

export async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(url(path), { cache: "no-store", signal: AbortSignal.timeout(8000), ...options });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** Draw through /generate. `hear` is told every event; the promise ends with the stream, and fails when the server goes away. */
export async function draw(asked, hear, signal) {
  const call = `${base}/gradio_api/call/generate`;
  const join = await fetch(call, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ data: asked }), signal });
  if (!join.ok) throw new Error(`generate: ${join.status}`);
  const { event_id } = await join.json();
  const answer = await fetch(`${call}/${event_id}`, { signal });
  if (!answer.ok || !answer.body) throw new Error(`generate: ${answer.status}`);
  let ended = false;
  for await (const [name, data] of messages(answer.body)) {
    if (name === "error") throw new Error("generate: error");
    if (name === "generating") hear(data[0]);
    if (name === "complete") ended = true;
  }
  if (!ended) throw new Error("generate: cut off");
}

/** Server-sent events of a body: [event, data]. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const fields = Object.fromEntries(part.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
      if (fields.event) yield [fields.event, JSON.parse(fields.data ?? "null")];
    }
  }
}
