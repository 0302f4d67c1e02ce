// The console: decisions from the live feed, stock and status by asking again.

const shown = 40; // decisions kept on the page
const $ = (id) => document.getElementById(id);

function cell(text, name) {
  const td = document.createElement("td");
  td.textContent = text ?? "";
  if (name) td.className = name;
  return td;
}

function row(...cells) {
  const tr = document.createElement("tr");
  tr.append(...cells);
  return tr;
}

const number = (n) => cell(n === undefined ? "" : String(n), "n");

// A node that wants a token gets the one that was typed, for as long as this tab
// is open.

const token = $("token").elements.token;
token.value = sessionStorage.getItem("token") ?? "";

$("token").addEventListener("submit", (e) => {
  e.preventDefault();
  sessionStorage.setItem("token", token.value);
  again();
});

// request asks the node. Without the token that it wants, it asks the reader.
async function request(path) {
  const answer = await fetch(path, token.value ? { headers: { Authorization: "Bearer " + token.value } } : {});
  $("token").hidden = answer.status !== 401;
  if (!answer.ok) throw new Error((await answer.json()).detail ?? answer.statusText);
  return answer;
}

const ask = async (path) => (await request(path)).json();

// Decisions.

let seen = 0;
let since = performance.now();
let latestSKU = "";
let currency = "";

function outcome(lines) {
  const n = {};
  for (const l of lines) n[l.outcome] = (n[l.outcome] ?? 0) + 1;
  const name = n.failed ? "bad" : n.backordered ? "wait" : "good";
  return cell(Object.entries(n).map(([what, count]) => (count === 1 ? what : `${count} ${what}`)).join(", "), name);
}

function where(l) {
  const parts = (l.parts ?? []).map((p) => `${p.quantity} from ${p.location}`).join(" + ");
  return `${l.quantity} × ${l.sku}${parts ? ": " + parts : ""}`;
}

function show(d) {
  seen++;
  const lines = d.lines ?? [];
  const some = lines.slice(0, 3).map(where).join("; ") + (lines.length > 3 ? ` and ${lines.length - 3} more` : "");
  $("decisions").prepend(row(cell((d.time ?? "").slice(11, 23)), cell(d.attempt > 1 ? `${d.order} #${d.attempt}` : d.order),
    outcome(lines), cell(some), cell(d.because)));
  while ($("decisions").children.length > shown) $("decisions").lastChild.remove();
  if (lines.length) latestSKU = lines[0].sku;
  if (d.cost?.currency) currency = d.cost.currency;
}

let lost = 0;
const took = {
  "allocation.decided": show,
  "allocation.failed": show,
  lost: (e) => {
    lost += e.records;
    $("lost").textContent = `${lost} records not shown: this page was too slow`;
  },
};

// take reads one server-sent event.
function take(text) {
  const field = (name) => text.split("\n").find((line) => line.startsWith(name + ": "))?.slice(name.length + 2);
  took[field("event")]?.(JSON.parse(field("data")));
}

// The feed is read by fetch: an EventSource can't show a token.
async function feed() {
  try {
    const answer = await request("v1/live?types=allocation.decided,allocation.failed");
    let rest = "";
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
      const events = (rest + chunk).split("\n\n");
      rest = events.pop();
      events.forEach(take);
    }
  } catch {
    // The node is away, or wants a token: the status says so.
  }
  setTimeout(feed, 1000);
}
feed();

// Stock.

const find = $("find").elements.sku;

async function stock() {
  if (!find.value && document.activeElement !== find) find.value = latestSKU;
  if (!find.value) return;
  try {
    const answer = await ask("v1/stock/" + encodeURIComponent(find.value));
    $("problem").textContent = "";
    $("places").replaceChildren(...(answer.places ?? []).map((p) => row(cell(p.location), cell(p.pool), number(p.on_hand),
      number(p.reserved), number(p.withheld), number(p.safety_stock), number(p.atp))));
  } catch (e) {
    $("problem").textContent = e.message;
    $("places").replaceChildren();
  }
}

$("find").addEventListener("submit", (e) => {
  e.preventDefault();
  stock();
});

// Status.

async function status() {
  try {
    const c = await ask("v1/cluster");
    const g = c.groups.map((g) => `group ${g.group}: ${g.halted ? "halted: " + g.halted : g.role}, applied ${g.applied}, outbox ${g.outbox_records}`);
    const others = c.nodes.filter((n) => n.node !== c.node)
      .map((n) => `${n.node}: ${n.unreachable ? "no answer" : n.ready ? n.groups.map((g) => g.role).join(", ") : "not ready: " + n.not_ready}`);
    $("status").textContent = [c.node, c.ready ? "ready" : "not ready: " + c.not_ready, c.durability, ...g, ...others].join(" · ");
    $("status").className = c.ready && !c.groups.some((g) => g.halted) ? "" : "bad";
    $("inputs").replaceChildren(...c.inputs.map((i) => row(cell(i.name), number(i.partition), number(i.next), number(i.applied),
      number(i.duplicates), number(i.dead_letters), cell(i.state))));
    const now = performance.now();
    $("rate").textContent = `${((seen * 1000) / (now - since)).toFixed(1)} a second`;
    [seen, since] = [0, now];
  } catch (e) {
    $("status").textContent = e.message;
    $("status").className = "bad";
  }
}

async function totals() {
  if (!currency) return;
  try {
    const t = await ask("v1/totals/" + currency);
    $("currency").textContent = currency;
    $("totals").replaceChildren(...(t.outcomes ?? []).map((o) => row(cell(o.outcome), number(o.documents), number(o.lines),
      number(o.units), number(o.amount))));
  } catch {
    $("totals").replaceChildren(); // none yet
  }
}

let next;
async function again() {
  clearTimeout(next);
  await Promise.all([status(), stock(), totals()]);
  clearTimeout(next);
  next = setTimeout(again, 2000);
}
again();
