"use strict";
const at = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 0 });
const millis = (value) => value.toFixed(value < 10 ? 3 : 1);
let choices = [];

function svg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}

// Four steps of 1 and 2, five of 5: every tick is a round number.
const ticks = (most) => (most.toPrecision(1).startsWith("5") ? 5 : 4);
const spans = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300];

function draw(id, seconds, series) {
  const chart = at(id);
  chart.replaceChildren();
  const [left, right, top, bottom] = [64, 632, 12, 192];
  if (seconds.length === 0) {
    chart.append(svg("line", { class: "grid", x1: left, x2: right, y1: bottom, y2: bottom }));
    chart.append(svg("text", { x: (left + right) / 2, y: 110, "text-anchor": "middle" }, "no data yet"));
    return;
  }
  const first = seconds[0].second;
  const last = Math.max(seconds[seconds.length - 1].second, first + 1);
  const most = nice(Math.max(...series.flatMap((one) => seconds.map(one.of))));
  const x = (second) => left + ((second - first) / (last - first)) * (right - left);
  const y = (value) => bottom - (value / most) * (bottom - top);
  for (let tick = 0; tick <= ticks(most); tick += 1) {
    const value = (most * tick) / ticks(most);
    chart.append(svg("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }));
    const label = value >= 10 || value === 0 ? number(value) : String(Number(value.toPrecision(3)));
    chart.append(svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, label));
  }
  const span = spans.find((step) => (last - first) / step <= 6) ?? 600;
  for (let second = Math.ceil(first / span) * span; second <= last; second += span) {
    chart.append(svg("text", { x: x(second), y: 212, "text-anchor": "middle" }, `${second} s`));
  }
  series.forEach((one, place) => {
    const points = seconds.map((second) => `${x(second.second).toFixed(1)} ${y(one.of(second)).toFixed(1)}`);
    // One point has no line; a short one stands for it.
    if (points.length === 1) points.push(`${(left + 3).toFixed(1)} ${y(one.of(seconds[0])).toFixed(1)}`);
    chart.append(svg("path", { class: `line c${one.color ?? place}`, d: `M${points.join("L")}` }));
  });
}

// On a narrow page each figure has the name of its column beside it.
function rows(id, list) {
  const names = [...at(id).closest("table").querySelectorAll("th")].map((head) => head.textContent);
  at(id).replaceChildren(...list.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((cell, place) => {
      const element = document.createElement("td");
      element.textContent = cell;
      if (place > 0) element.dataset.label = names[place];
      return element;
    }));
    return row;
  }));
  if (list.length === 0) {
    const row = at(id).insertRow();
    Object.assign(row.insertCell(), { className: "none", colSpan: 8, textContent: "none" });
  }
}

function words(state) {
  const name = `${state.scenario} ${state.title}`;
  const passed = `${Math.round(state.measured_seconds)} of ${Math.round(state.planned_seconds)} s`;
  switch (state.phase) {
    case "starting": return `${name}: starting`;
    case "filling": return state.to_fill > 0
      ? `${name}: filling, ${number(state.filled)} of ${number(state.to_fill)}` : `${name}: warming up`;
    case "running": return `${name}: ${passed}`;
    case "verifying": return `${name}: verifying`;
    default: break;
  }
  if (state.message && !state.verdict) return state.message;
  if (!state.verdict) return state.runs > 0 ? `${name}: over, not verified` : "No run yet.";
  const found = state.verdict;
  const verdict = wrong(found) === 0 ? "verified" : "VERIFICATION FAILED";
  const names = ["lost", "duplicated", "invented", "misordered"];
  if (found.work.leased > 0) names.push("shared", "stranded");
  const breaches = names.map((name) => `${found[name]} ${name}`).join(", ");
  return `${name}: ${verdict}. ${number(found.pushed)} pushed, ${number(found.popped)} popped, `
    + `${breaches}. ${state.warnings.join(" ")}`;
}

function wrong(found) {
  return found.lost + found.duplicated + found.invented + found.misordered + found.shared
    + found.stranded;
}

// A button that were disabled would lose the focus of who has just pressed it.
function allow(id, isAllowed) {
  at(id).setAttribute("aria-disabled", String(!isAllowed));
}

function isAllowed(id) {
  return at(id).getAttribute("aria-disabled") === "false";
}

function show(state) {
  at("status").textContent = words(state);
  const isJudged = state.phase === "idle" && state.verdict !== null;
  at("status").className = isJudged ? (wrong(state.verdict) === 0 ? "good" : "bad") : "";
  const last = state.seconds[state.seconds.length - 1];
  const all = last ? last.so_far : { requests: 0, failures: 0 };
  at("total-requests").textContent = number(all.requests);
  at("total-failures").textContent = number(all.failures);
  at("rate").textContent = last ? number(last.total.requests) : 0;
  for (const name of ["p50", "p95", "p99"]) {
    at(name).textContent = last ? millis(all[name]) : "–";
  }
  const isClosed = state.model !== null && state.model.kind === "closed";
  at("users-name").textContent = isClosed ? "Users" : "Under way";
  at("users-title").textContent = isClosed ? "Users" : "Requests under way";
  at("users-now").textContent = last ? last.users : 0;
  const of = (name) => (second) => second.total[name];
  draw("chart-rate", state.seconds, [{ of: of("requests") }]);
  draw("chart-latency", state.seconds, ["p50", "p95", "p99", "max"].map((name) => ({ name, of: of(name) })));
  draw("chart-errors", state.seconds, [{ of: of("failures"), color: 1 }]);
  draw("chart-users", state.seconds, [{ of: (second) => second.users }]);
  rows("requests", state.requests.map(([name, one]) => [name, number(one.requests),
    number(one.failures), ...[one.p50, one.p95, one.p99, one.max, one.mean].map(millis)]));
  rows("failures", state.failures);
  const isIdle = state.phase === "idle";
  allow("start", isIdle);
  allow("stop", !isIdle);
  allow("change", !isIdle);
  at("downloads").hidden = state.runs === 0;
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  if (!answer.ok) {
    const text = await answer.text();
    let reason = text;
    try { reason = JSON.parse(text).reason ?? text; } catch { /* it is no JSON */ }
    at("status").textContent = reason;
    return;
  }
  await refresh();
}

async function refresh() {
  try {
    show(await (await fetch("/api/state")).json());
  } catch {
    at("status").textContent = "The load test has ended.";
  }
}

function load() {
  const isOpen = at("model").value === "open";
  const rate = chosen()?.rate ?? 1;
  return isOpen ? { scale: Number(at("mean").value) / rate } : { users: Number(at("users").value) };
}

function chosen() {
  return choices.find((choice) => choice.id === at("scenario").value);
}

function choose(id, seconds, scale) {
  at("scenario").value = id;
  at("seconds").value = seconds ?? chosen().seconds;
  at("mean").value = Number((chosen().rate * (scale ?? 1)).toPrecision(4));
}

function follow() {
  const isOpen = at("model").value === "open";
  at("rate-label").hidden = !isOpen;
  at("users-label").hidden = isOpen;
  at("spawn-label").hidden = isOpen;
}

at("model").addEventListener("change", follow);
at("scenario").addEventListener("change", () => choose(at("scenario").value));
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!isAllowed("start")) return;
  const order = { scenario: at("scenario").value, seconds: Number(at("seconds").value), ...load() };
  if (order.users) order.spawn_rate = Number(at("spawn").value);
  post("/api/start", order);
});
at("stop").addEventListener("click", () => isAllowed("stop") && post("/api/stop", {}));
at("change").addEventListener("click", () => isAllowed("change") && post("/api/change", load()));

async function begin() {
  choices = await (await fetch("/api/scenarios")).json();
  at("scenario").replaceChildren(...choices.map((choice) => {
    const option = document.createElement("option");
    option.value = choice.id;
    option.textContent = `${choice.id}  ${choice.title}`;
    return option;
  }));
  const state = await (await fetch("/api/state")).json();
  // Who opens the page while something runs finds that in the form.
  const isRunning = state.phase !== "idle" && state.model !== null;
  if (isRunning) choose(state.scenario, state.planned_seconds, state.scale || 1);
  else choose("s3a");
  if (isRunning && state.model.kind === "closed") {
    at("model").value = "closed";
    at("users").value = state.users;
  }
  follow();
  show(state);
  setInterval(refresh, 1000);
}
begin();
