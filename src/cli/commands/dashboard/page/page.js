"use strict";

// The page. What a runtime says is text, and never markup: nodes are made here, and texts put into them.

const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
// Another token in the same tab, of a dashboard that was started anew.
addEventListener("hashchange", () => location.reload());
const byId = (id) => document.getElementById(id);

/** A text without characters that turn what is around them. */
const clean = (text) => String(text).replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
  (character) => `\\u{${character.codePointAt(0).toString(16)}}`);

/** Makes an element, with attributes and children; a child that is no node is a text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value === true) {
      element.setAttribute(key, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, value);
    }
  }
  const there = children.filter((child) => child !== null && child !== undefined);
  element.append(...there.map((child) => (child instanceof Node ? child : clean(child))));
  return element;
}

/** Asks the server. A failure of the runtime is an error with its text. */
async function ask(what, argument = {}) {
  if (!/^[\w.~-]+$/.test(token)) {
    throw new Error("the token of the URL is missing or wrong: use the URL that `chimaera dashboard` prints");
  }
  let reply;
  try {
    reply = await fetch(`api/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      body: JSON.stringify(argument),
      cache: "no-store",
    });
  } catch {
    throw new Error("`chimaera dashboard` does not answer: it has ended, or cannot be reached");
  }
  const isJson = reply.headers.get("Content-Type") === "application/json";
  const answer = isJson ? await reply.json() : { error: await reply.text() };
  if (!reply.ok || (answer.status && answer.status !== "CHI_OK" && what !== "call")) {
    throw new Error(answer.error ?? `the server says ${reply.status}`);
  }
  return answer;
}

// Numbers ---------------------------------------------------------------------------------------------

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

const count = (value) => (value < 10_000 ? whole.format(value) : short.format(value));
const rate = (value) => (value < 1000 ? plain.format(value) : short.format(value));

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (value >= 1024 && unit + 1 < units.length) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 1000 ? plain.format(value) : whole.format(value)} ${units[unit]}`;
}

function time(ns) {
  if (ns === null || ns === undefined) return "-";
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${plain.format(ns / 1e3)} µs`;
  if (ns < 1e9) return `${plain.format(ns / 1e6)} ms`;
  return span(ns / 1e9);
}

function span(seconds) {
  if (seconds < 60) return `${plain.format(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

const percent = (part) => `${plain.format(part * 100)} %`;

// Tables ----------------------------------------------------------------------------------------------

/**
 * A table that is sorted by a click on a head, or by its key, and filtered by a text. A column has a title, a function from
 * a row to its value, and one from the value to the text.
 */
class Table {
  constructor(place, columns, { sort = 0, down = false, filter = false, none = "none" } = {}) {
    this.columns = columns;
    this.sort = sort;
    this.down = down;
    this.none = none;
    this.rows = [];
    this.isKnown = false;
    this.filter = "";
    this.heads = columns.map((column, index) => {
      const button = make("button", { type: "button", on: { click: () => this.sortBy(index) } }, column.title);
      return make("th", { scope: "col", class: column.number ? "number" : null }, button);
    });
    this.body = make("tbody");
    this.empty = make("p", { class: "none" });
    this.frame = make(
      "div",
      { class: "table", tabindex: "0", role: "region", "aria-label": place.getAttribute("aria-label") ?? place.id },
      make("table", {}, make("thead", {}, make("tr", {}, ...this.heads)), this.body),
    );
    if (filter) {
      const input = make("input", {
        type: "search",
        placeholder: "only those with this text",
        "aria-label": "Filter",
        on: { input: () => { this.filter = input.value.toLowerCase(); this.draw(); } },
      });
      place.append(make("p", { class: "filter" }, input));
    }
    place.append(this.frame, this.empty);
    this.draw();
  }

  sortBy(index) {
    this.down = this.sort === index ? !this.down : Boolean(this.columns[index].number);
    this.sort = index;
    this.draw();
  }

  /** Shows rows; without any argument, that they are unknown. */
  show(rows) {
    this.rows = rows ?? [];
    this.isKnown = rows !== undefined;
    this.draw();
  }

  draw() {
    // What somebody is about to copy stays.
    const selection = getSelection();
    if (selection.type === "Range" && this.body.contains(selection.anchorNode)) return;
    const by = this.columns[this.sort].of;
    const order = (a, b) => {
      const [left, right] = [by(a) ?? -Infinity, by(b) ?? -Infinity];
      const first = typeof left === "string" ? left.localeCompare(String(right)) : left - right;
      return this.down ? -first : first;
    };
    const text = (row) => this.columns.map((column) => this.text(column, row));
    const rows = [...this.rows].sort(order).map((row) => [row, text(row)]);
    const wanted = rows.filter(([, cells]) => cells.join(" ").toLowerCase().includes(this.filter));
    this.heads.forEach((head, index) => {
      const sorted = this.down ? "descending" : "ascending";
      head.setAttribute("aria-sort", index === this.sort ? sorted : "none");
    });
    this.body.replaceChildren(
      ...wanted.map(([row, cells]) => make("tr", {}, ...cells.map((cell, index) => {
        const column = this.columns[index];
        const classes = [column.number && "number", column.wide && "wide", column.class?.(row)];
        return make("td", { class: classes.filter(Boolean).join(" ") || null }, cell);
      }))),
    );
    this.frame.hidden = wanted.length === 0;
    this.empty.hidden = wanted.length > 0;
    this.empty.textContent = this.rows.length > 0 ? "none has this text" : this.isKnown ? this.none : "unknown";
  }

  text(column, row) {
    const value = column.of(row);
    if (value === null || value === undefined || value === "") return "-";
    return column.show ? column.show(value, row) : String(value);
  }
}

const failing = (key) => (row) => (row[key] > 0 ? "bad" : "");

const workers = new Table(byId("workers"), [
  { title: "Worker", of: (row) => row.worker, number: true },
  { title: "Group", of: (row) => row.standby ?? row.group },
  { title: "Busy", of: (row) => row.busy, show: percent, number: true },
  { title: "Calls/s", of: (row) => row.calls_per_s, show: rate, number: true },
  { title: "Failed/s", of: (row) => row.failures_per_s, show: rate, number: true, class: failing("failures_per_s") },
  { title: "Parks/s", of: (row) => row.parks_per_s, show: rate, number: true },
  { title: "Suspended", of: (row) => row.suspended, number: true },
  { title: "Running", of: (row) => row.running && `${row.running.method} of '${row.running.pool}'` },
  { title: "For", of: (row) => row.running?.age_ms, show: (age) => span(age / 1e3), number: true },
]);

const methods = new Table(byId("methods"), [
  { title: "Pool", of: (row) => row.pool },
  { title: "Method", of: (row) => row.method },
  { title: "Calls/s", of: (row) => row.calls_per_s, show: rate, number: true },
  { title: "Failed/s", of: (row) => row.failures_per_s, show: rate, number: true, class: failing("failures_per_s") },
  { title: "Median", of: (row) => row.p50_ns, show: time, number: true },
  { title: "99 %", of: (row) => row.p99_ns, show: time, number: true },
  { title: "Longest", of: (row) => row.max_ns, show: time, number: true },
  { title: "Queued", of: (row) => row.queued, number: true },
  { title: "Running", of: (row) => row.running, number: true },
  { title: "Suspended", of: (row) => row.suspended, number: true },
  { title: "In/s", of: (row) => row.bytes_in_per_s, show: bytes, number: true },
  { title: "Out/s", of: (row) => row.bytes_out_per_s, show: bytes, number: true },
  { title: "Calls", of: (row) => row.calls, show: count, number: true },
  { title: "Failed", of: (row) => row.failures, show: count, number: true, class: failing("failures") },
], { sort: 2, down: true, filter: true, none: "no method has been called" });

const sessions = new Table(byId("sessions"), [
  { title: "Session", of: (row) => row.session, number: true },
  { title: "Process", of: (row) => row.pid, number: true },
  { title: "User", of: (row) => row.uid, number: true },
  { title: "For", of: (row) => row.age_ms, show: (age) => span(age / 1e3), number: true },
  { title: "Calls/s", of: (row) => row.calls_per_s, show: rate, number: true },
  { title: "Failed/s", of: (row) => row.failures_per_s, show: rate, number: true, class: failing("failures_per_s") },
  { title: "In flight", of: (row) => row.in_flight, number: true },
  { title: "Held back", of: (row) => (row.throttled ? "yes" : "no"), class: (row) => (row.throttled ? "warn" : "") },
  { title: "In/s", of: (row) => row.bytes_in_per_s, show: bytes, number: true },
  { title: "Out/s", of: (row) => row.bytes_out_per_s, show: bytes, number: true },
  { title: "Segment", of: (row) => row.segment_bytes, show: bytes, number: true },
  { title: "Results", of: (row) => row.results_bytes, show: bytes, number: true },
], { sort: 4, down: true, filter: true, none: "no client is connected" });

const devices = new Table(byId("devices"), [
  { title: "Device", of: (row) => row.pool },
  { title: "Reads/s", of: (row) => row.reads_per_s, show: rate, number: true },
  { title: "Read/s", of: (row) => row.read_bytes_per_s, show: bytes, number: true },
  { title: "Read 99 %", of: (row) => row.read_p99_ns, show: time, number: true },
  { title: "Writes/s", of: (row) => row.writes_per_s, show: rate, number: true },
  { title: "Written/s", of: (row) => row.written_bytes_per_s, show: bytes, number: true },
  { title: "Write 99 %", of: (row) => row.write_p99_ns, show: time, number: true },
  { title: "Flushes/s", of: (row) => row.flushes_per_s, show: rate, number: true },
  { title: "Flush 99 %", of: (row) => row.flush_p99_ns, show: time, number: true },
  { title: "Failed/s", of: (row) => row.failures_per_s, show: rate, number: true, class: failing("failures_per_s") },
  { title: "In flight", of: (row) => row.in_flight, number: true },
], { sort: 0, down: false, filter: true, none: "there is no pool of chimaera:bdev" });

const nodes = new Table(byId("nodes"), [
  { title: "Node", of: (row) => row.name },
  { title: "Address", of: (row) => row.address },
  { title: "Standing", of: (row) => row.standing, class: (row) => (row.standing === "member" ? "" : "warn") },
  { title: "Part", of: (row) => (row.leads ? "leads" : row.voter ? "votes" : "follows") },
  { title: "Containers", of: (row) => row.containers, number: true },
  { title: "Round trip", of: (row) => row.round_trip_us && row.round_trip_us * 1e3, show: time, number: true },
  {
    title: "Heard",
    of: (row) => (row.own ? "this node" : row.connected_ms === null ? "not connected" : `${time(row.last_byte_ms * 1e6)} ago`),
    class: (row) => (row.own || row.connected_ms !== null ? "" : "warn"),
  },
], { sort: 0, down: false, filter: true, none: "this runtime is not in a cluster" });

function waitsFor(what) {
  switch (what?.kind) {
    case undefined: return null;
    case "task": return `${what.method} of '${what.pool}'`;
    case "lock": return `lock ${what.number}`;
    case "process": return `process ${what.process}`;
    case "node": return "another node";
    default: return "an event or a time";
  }
}

const current = new Table(byId("current"), [
  { title: "Task", of: (row) => row.id },
  { title: "Pool", of: (row) => row.pool },
  { title: "Method", of: (row) => row.method },
  { title: "State", of: (row) => row.state },
  { title: "Age", of: (row) => row.age_ns, show: time, number: true },
  { title: "Session", of: (row) => row.session, number: true },
  { title: "Waits for", of: (row) => waitsFor(row.waits_for) },
], { sort: 4, down: true, none: "no task runs or waits" });

const slow = new Table(byId("slow"), [
  { title: "Pool", of: (row) => row.pool },
  { title: "Method", of: (row) => row.method },
  { title: "Total", of: (row) => row.total_ns, show: time, number: true },
  { title: "In ring", of: (row) => row.ring_ns, show: time, number: true },
  { title: "In lane", of: (row) => row.lane_ns, show: time, number: true },
  { title: "Running", of: (row) => row.running_ns, show: time, number: true },
  { title: "Suspended", of: (row) => row.suspended_ns, show: time, number: true },
  { title: "Bytes in", of: (row) => row.bytes_in, show: bytes, number: true },
  { title: "Ended", of: (row) => row.ago_ns, show: (ago) => `${time(ago)} ago`, number: true },
], { sort: 2, down: true, none: "none" });

const values = new Table(byId("values"), [
  { title: "Key", of: (row) => row.key },
  { title: "Value", of: (row) => (row.value === null ? null : JSON.stringify(row.value)), wide: true },
  { title: "From", of: (row) => origin(row.origin), wide: true },
], { filter: true });

function origin(from) {
  const { from: kind, ...rest } = from;
  const more = Object.values(rest).join(":");
  return more ? `${kind} ${more}` : kind;
}

// Plots -----------------------------------------------------------------------------------------------

/** How many seconds the plots show. */
const KEPT = 180;
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Lines over the last minutes. Those that are not there any more go when they have left the plot. */
class Plot {
  constructor(title, show, { isLogarithmic = false, most = 5 } = {}) {
    this.title = title;
    this.most = most;
    this.show = show;
    this.scale = isLogarithmic ? { distr: 3 } : { range: (_, __, most) => [0, Math.max(most * 1.1, 1e-9)] };
    this.times = [];
    this.series = new Map();
    this.place = make("div", { role: "img", "aria-label": title });
    byId("plots").append(this.place);
    new ResizeObserver(() => this.resize()).observe(this.place);
  }

  add(now, points) {
    this.times.push(now);
    for (const name of Object.keys(points)) {
      if (!this.series.has(name)) this.series.set(name, Array(this.times.length - 1).fill(null));
    }
    for (const [name, line] of this.series) line.push(points[name] ?? null);
    while (this.times.length > KEPT) {
      this.times.shift();
      for (const line of this.series.values()) line.shift();
    }
    // Lines that are not there any more, the oldest first, make room for others.
    for (const [name, line] of this.series) {
      const isGone = points[name] === undefined && this.series.size > this.most;
      if (isGone || line.every((point) => point === null)) this.series.delete(name);
    }
    const names = [...this.series.keys()].join("\n");
    if (names !== this.names) this.build(names);
    this.plot.setData([this.times, ...this.series.values()]);
    const last = [...this.series].map(([name, line]) => `${name} ${this.show(line.at(-1) ?? 0)}`);
    this.place.setAttribute("aria-label", `${this.title}: ${last.join(", ")}`);
  }

  build(names = this.names) {
    this.names = names;
    this.plot?.destroy();
    const axis = { stroke: style("--faint"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false } };
    const lines = [...this.series.keys()].map((label, index) => ({
      label: clean(label),
      stroke: style(`--series-${(index % 5) + 1}`),
      width: 2,
      // Where the pointer is, or else now.
      value: (plot, value, at, index) => {
        const point = index === null ? plot.data[at].at(-1) : value;
        return point === null || point === undefined ? "-" : this.show(point);
      },
    }));
    this.plot = new uPlot({
      title: this.title,
      width: Math.max(this.place.clientWidth - 14, 100),
      height: 190,
      scales: { y: this.scale },
      axes: [axis, { ...axis, size: 66, values: (_, ticks) => ticks.map((tick) => (tick === null ? null : this.show(tick))) }],
      series: [{ value: (_, value) => (value ? new Date(value * 1e3).toLocaleTimeString() : "now") }, ...lines],
    }, [this.times, ...this.series.values()], this.place);
  }

  resize() {
    this.plot?.setSize({ width: Math.max(this.place.clientWidth - 14, 100), height: 190 });
  }
}

/** How many methods have a line. */
const LINES = 4;

const plots = {
  calls: new Plot("Calls per second", rate),
  latency: new Plot("99 % of a method's calls take at most", time, { isLogarithmic: true, most: LINES }),
  busy: new Plot("Cores in use", (value) => plain.format(value)),
};
function drawPlots(view) {
  const now = Date.now() / 1e3;
  const { runtime } = view;
  plots.calls.add(now, { calls: runtime.calls_per_s, failed: runtime.failures_per_s });
  const busy = view.workers.reduce((sum, worker) => sum + worker.busy, 0);
  plots.busy.add(now, { process: runtime.cpu, "in methods": busy });
  const measured = view.methods.filter((row) => row.p99_ns !== null && row.calls_per_s > 0);
  measured.sort((a, b) => b.calls_per_s - a.calls_per_s);
  const points = measured.slice(0, LINES).map((row) => [`${row.pool} ${row.method}`, row.p99_ns]);
  plots.latency.add(now, Object.fromEntries(points));
}

/** Nothing is known of this moment. */
function drawGap() {
  const now = Date.now() / 1e3;
  for (const plot of Object.values(plots)) if (plot.times.length > 0) plot.add(now, {});
}

function drawTiles({ runtime }) {
  const tiles = {
    "calls/s": rate(runtime.calls_per_s),
    "failed/s": rate(runtime.failures_per_s),
    CPU: percent(runtime.cpu),
    memory: bytes(runtime.resident_bytes),
    "of its budget": percent(runtime.memory_used_bytes / Math.max(runtime.memory_budget_bytes, 1)),
    sessions: String(runtime.sessions),
    pools: String(runtime.pools),
    up: span(runtime.uptime_s),
  };
  byId("tiles").replaceChildren(
    ...Object.entries(tiles).map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", { "data-tile": name }, value))),
  );
}

// Pools -----------------------------------------------------------------------------------------------

let about = { calls: false };
let chosen = null;

function drawTree({ pools, modules, refused }) {
  const of = (module) => pools.filter((pool) => pool.module === module);
  const names = [...new Set([...modules.map((module) => module.name), ...pools.map((pool) => pool.module)])].sort();
  const branch = (module) => {
    const known = modules.find((one) => one.name === module);
    const version = known ? ` ${known.version}, ${known.language}` : "";
    const leaves = of(module).map((pool) => make("li", {}, make("button", {
      type: "button",
      "data-pool": pool.name,
      "aria-current": String(pool.name === chosen),
      on: { click: () => choose(pool.name) },
    }, pool.name)));
    return make("li", {}, module, make("small", { class: "doc" }, version), leaves.length ? make("ul", {}, ...leaves) : null);
  };
  const used = names.filter((name) => of(name).length > 0);
  const unused = names.filter((name) => of(name).length === 0);
  const bad = (refused ?? []).filter((one) => one.is_module !== false);
  // A list that is made anew would take the focus away.
  const seen = JSON.stringify([names, pools.map((pool) => [pool.name, pool.module]), chosen, bad]);
  if (seen === drawTree.seen) return;
  drawTree.seen = seen;
  const focused = document.activeElement?.dataset?.pool;
  byId("tree").replaceChildren(
    make("ul", {}, ...used.map(branch)),
    ...(unused.length ? [make("h3", {}, "Modules without a pool"), make("ul", {}, ...unused.map(branch))] : []),
    ...bad.map((one) => make("p", { class: "warn" }, `refused: ${one.path}: ${one.reason}`)),
  );
  if (focused) byId("tree").querySelector(`[data-pool="${CSS.escape(focused)}"]`)?.focus();
}

async function choose(name) {
  chosen = name;
  const place = byId("pool");
  try {
    const { pools } = await refresh.pools();
    const pool = pools.find((one) => one.name === name);
    const description = await ask("methods", { pool: name });
    // Somebody may have chosen another one meanwhile.
    if (chosen === name) place.replaceChildren(...drawPool(pool, description));
    drawFacts.id = pool.id;
  } catch (error) {
    if (chosen === name) place.replaceChildren(make("p", { class: "bad" }, error.message));
  }
}

/** What is told of a pool in a list. */
function drawFacts(pool) {
  const facts = {
    module: `${pool.module} ${pool.version}`,
    id: pool.id,
    state: pool.state,
    containers: pool.containers,
    tasks: pool.tasks,
    "depends on": pool.depends_on.map((one) => one.name ?? one).join(", ") || "-",
    "if a method crashes": pool.on_crash,
    "runs in": pool.isolation === "process" ? "a module host" : "the runtime",
    durable: pool.durable ? "yes" : "no",
  };
  return Object.entries(facts).flatMap(([name, value]) =>
    [make("dt", {}, name), make("dd", {}, String(value))]);
}

/** What has become of the pool that is shown. */
function followPool(pools) {
  const list = byId("pool").querySelector("dl");
  if (chosen === null || list === null) return;
  const pool = pools.find((one) => one.name === chosen);
  if (pool === undefined || pool.id !== drawFacts.id) {
    byId("pool").replaceChildren(make("p", { class: "bad" }, `The pool '${chosen}' that was shown is gone.`));
    chosen = null;
    return;
  }
  list.replaceChildren(...drawFacts(pool));
}

function drawPool(pool, description) {
  const described = description.methods.filter((method) => method.fields);
  const parts = [make("h2", {}, `Pool '${pool.name}'`), make("dl", {}, ...drawFacts(pool))];
  if (description.about) parts.push(make("p", { class: "doc" }, description.about));
  parts.push(make("h2", {}, "Call a method"));
  if (described.length === 0) {
    parts.push(make("p", { class: "none" }, "the module does not describe the fields of its methods"));
  } else {
    parts.push(callForm(pool.name, described));
  }
  return parts;
}

function callForm(pool, described) {
  const select = make("select", { id: "method", on: { change: () => drawFields() } },
    ...described.map((method) => make("option", { value: method.name }, method.name)));
  const fields = make("div");
  const timeout = make("input", { id: "timeout", type: "number", min: "0.1", max: "15", step: "any", value: "5" });
  const button = make("button", { type: "submit", disabled: !about.calls }, "Call");
  const result = make("pre", { id: "result", role: "status", "aria-live": "polite", tabindex: "0", hidden: true });
  const method = () => described.find((one) => one.name === select.value);
  const inputs = () => method().fields.filter((field) => field.dir !== "out");
  const drawFields = () => {
    const long = (type) => type === "string" || type === "bytes";
    fields.replaceChildren(
      ...(method().doc ? [make("p", { class: "doc" }, method().doc)] : []),
      ...inputs().flatMap((field) => {
        const id = `field-${field.name}`;
        const attributes = { id, name: field.name, placeholder: field.type, autocomplete: "off", spellcheck: "false" };
        return [
          make("label", { for: id }, field.name, " ", make("small", {}, [field.type, field.doc].filter(Boolean).join(": "))),
          long(field.type) ? make("textarea", { ...attributes, rows: "2" }) : make("input", attributes),
        ];
      }),
      ...(inputs().length === 0 ? [make("p", { class: "none" }, "it has no inputs")] : []),
    );
  };
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    const given = {};
    for (const field of inputs()) given[field.name] = byId(`field-${field.name}`).value;
    result.hidden = false;
    result.className = "";
    result.textContent = "…";
    try {
      const answer = await ask("call", { pool, method: select.value, fields: given, timeout: Number(timeout.value) || null });
      const isGood = answer.status === "CHI_OK";
      result.className = isGood ? "" : "bad";
      const took = answer.took ? `${answer.status} in ${time(answer.took.ns)}\n` : "";
      result.textContent = isGood ? took + answer.results_text : answer.error;
    } catch (error) {
      result.className = "bad";
      result.textContent = error.message;
    }
    button.disabled = false;
  };
  drawFields();
  return make("form", { on: { submit } },
    make("label", { for: "method" }, "Method"), select, fields,
    make("p", { class: "actions" }, make("span", {}, make("label", { for: "timeout" }, "At most, in seconds"), timeout), button,
      about.calls ? null : make("small", {}, "This page is read-only: start it with --allow-calls.")),
    result);
}

// Log -------------------------------------------------------------------------------------------------

const LEVELS = ["error", "warn", "info", "debug", "trace"];

function drawLog({ lines }) {
  const list = byId("lines");
  const rank = (line) => Math.max(LEVELS.indexOf((line.level ?? "").toLowerCase()), 0);
  const wanted = lines.filter((line) => rank(line) <= Number(byId("level").value));
  const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 5;
  list.replaceChildren(...wanted.map((line) => {
    const { timestamp, level, message, target, ...rest } = line;
    // Of a log in text, the message has it already.
    const isNew = ([key, value]) => value !== null && !(message ?? "").includes(` ${key}=`);
    const more = Object.entries(rest).filter(isNew)
      .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
    const text = [timestamp, level, message, ...more].filter(Boolean).join("  ");
    return make("li", { class: ["bad", "warn"][rank(line)] ?? null }, text);
  }));
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

// Views -----------------------------------------------------------------------------------------------

/** What each view asks for, and how often, in seconds. */
const refresh = {
  pools: async () => {
    const found = await ask("pools");
    followPool(found.pools);
    drawTree(found);
    return found;
  },
  tasks: async () => {
    current.show((await ask("tasks")).tasks);
    slow.show((await ask("slow")).tasks);
  },
  log: async () => drawLog(await ask("log")),
  configuration: async () => values.show((await ask("config")).values),
};
const often = { pools: 3, tasks: 2, log: 2, configuration: 30 };
let shown = "overview";
let seen = {};

const tabs = [...document.querySelectorAll("main > section")].map((section) => {
  section.setAttribute("role", "tabpanel");
  const button = make("button", {
    type: "button",
    role: "tab",
    id: `tab-${section.id}`,
    "aria-controls": section.id,
    on: {
      click: () => open(section.id),
      keydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        const at = tabs.findIndex((tab) => tab.section === section);
        const next = Number.isFinite(step) ? (at + step + tabs.length) % tabs.length : step < 0 ? 0 : tabs.length - 1;
        open(tabs[next].section.id);
        tabs[next].button.focus();
      },
    },
  }, section.getAttribute("aria-label"));
  section.setAttribute("aria-labelledby", button.id);
  byId("tabs").append(button);
  return { section, button };
});

function open(id) {
  shown = id;
  for (const { section, button } of tabs) {
    const isShown = section.id === id;
    section.hidden = !isShown;
    button.setAttribute("aria-selected", String(isShown));
    button.tabIndex = isShown ? 0 : -1;
  }
  seen[id] = 0;
  look();
}

function say(text, isBad) {
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = isBad ? "bad" : "";
}

async function look() {
  const due = refresh[shown] && Date.now() - (seen[shown] ?? 0) >= often[shown] * 1e3;
  if (!due) return;
  const what = shown;
  seen[what] = Date.now();
  try {
    await refresh[what]();
  } catch (error) {
    if (what === "tasks") [current, slow].forEach((table) => table.show());
    say(error.message, true);
  }
}

/** What moves, once a second while somebody can see it. */
async function run() {
  for (;;) {
    if (!document.hidden) {
      try {
        if (!about.instance) await begin();
        const view = await ask("view");
        document.body.classList.remove("stale");
        const { runtime } = view;
        say(`version ${runtime.version}, process ${runtime.pid}, up ${span(runtime.uptime_s)}`, false);
        drawTiles(view);
        drawPlots(view);
        workers.show(view.workers);
        methods.show(view.methods);
        sessions.show(view.sessions);
        devices.show(view.devices);
        nodes.show(view.nodes);
      } catch (error) {
        say(error.message, true);
        // What is shown was so before.
        document.body.classList.add("stale");
        drawGap();
      }
      // The log and the configuration are there without a runtime.
      await look();
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function begin() {
  about = await ask("about");
  byId("instance").textContent = `'${about.instance}'`;
  document.title = `Chimaera '${about.instance}'`;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  for (const plot of Object.values(plots)) if (plot.plot) plot.build();
}

const preferred = matchMedia("(prefers-color-scheme: dark)");
let theme = null;
try {
  theme = localStorage.getItem("theme");
} catch {
  // Without storage, it is what the system prefers.
}
setTheme(theme ?? (preferred.matches ? "dark" : "light"));
preferred.addEventListener("change", () => theme ?? setTheme(preferred.matches ? "dark" : "light"));
byId("theme").addEventListener("click", () => {
  theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(theme);
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // It is for this visit only then.
  }
});
byId("level").addEventListener("change", () => refresh.log().catch((error) => say(error.message, true)));
open("overview");
run();
