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

async function ask(path) {
  const answer = await fetch(path);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? answer.statusText);
  return body;
}

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

const feed = new EventSource("v1/live?types=allocation.decided,allocation.failed");
feed.addEventListener("allocation.decided", (e) => show(JSON.parse(e.data)));
feed.addEventListener("allocation.failed", (e) => show(JSON.parse(e.data)));
let lost = 0;
feed.addEventListener("lost", (e) => {
  lost += JSON.parse(e.data).records;
  $("lost").textContent = `${lost} records not shown: this page was too slow`;
});

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
    $("status").textContent = `${c.node} · ${c.ready ? "ready" : "not ready: " + c.not_ready} · ${c.durability} · ${g.join(" · ")}`;
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

async function again() {
  await Promise.all([status(), stock(), totals()]);
  setTimeout(again, 2000);
}
again();
