"use strict";

// One selection for every chart: a row stays if its architecture, depth and alpha, where it has them, are chosen.
const SMALLEST = 0.8; // charts shrink to this share of their size; beyond that they scroll

const specs = new Map();
for (const element of document.querySelectorAll("script[id^='spec-']")) {
  specs.set(element.id.replace("spec-", ""), JSON.parse(element.textContent));
}
const runs = JSON.parse(document.getElementById("runs").textContent);

function chosen() {
  const form = document.getElementById("selection");
  const values = name => [...form.querySelectorAll(`input[name=${name}]:checked`)].map(box => box.value);
  const some = name => form.querySelector(`input[name=${name}]:not(:checked)`) !== null;
  const {from, to} = form.elements;
  const scale = k => Number(from.options[Math.min(Math.max(k, 0), from.options.length - 1)].value);
  const between = (k, l) => Math.sqrt(scale(k) * scale(l));
  return {
    architecture: new Set(values("architecture")),
    depth: new Set(values("depth").map(Number)),
    from: Number(from.value) * (1 - 1e-4),
    to: Number(to.value) * (1 + 1e-4),
    edges: [between(from.selectedIndex - 1, from.selectedIndex), between(to.selectedIndex, to.selectedIndex + 1)],
    narrowed: {
      architecture: some("architecture"),
      depth: some("depth"),
      alpha: from.selectedIndex > 0 || to.selectedIndex < to.options.length - 1,
    },
  };
}

function stays(row, choice, label) {
  const has = axis => row[axis] !== undefined && row[axis] !== null;
  return (!has("architecture") || choice.architecture.has(row.architecture))
    && (!has("depth") || choice.depth.has(Number(row.depth)))
    && (label || !has("alpha") || (row.alpha >= choice.from && row.alpha <= choice.to));
}

// The chart of the chosen rows. A panel is left out if none of its runs is left: those have an architecture, where the
// rows of its guides and labels have none. Labels stand at the end of a curve, and stay while any of it does.
function selected(spec, choice) {
  const datasets = {};
  const emptied = new Set();
  const ofRuns = new Set();
  const layers = spec.vconcat.flatMap(row => row.hconcat)
    .flatMap(panel => (panel.layer ?? [panel]).map(layer => ({type: layer.mark?.type, name: (layer.data ?? panel.data)?.name})));
  const drawn = new Set(layers.filter(({type}) => type !== "text").map(({name}) => name));
  for (const [name, rows] of Object.entries(spec.datasets ?? {})) {
    datasets[name] = rows.filter(row => stays(row, choice, !drawn.has(name)));
    if (drawn.has(name) && rows.some(row => "architecture" in row)) ofRuns.add(name);
    if (rows.length && !datasets[name].length) emptied.add(name);
  }
  const shows = panel => {
    const used = (panel.layer ?? [panel]).map(layer => (layer.data ?? panel.data)?.name).filter(name => ofRuns.has(name));
    return !used.length || used.some(name => !emptied.has(name));
  };
  const vconcat = spec.vconcat
    .map(row => ({...row, hconcat: row.hconcat.filter(shows)}))
    .filter(row => row.hconcat.length);
  return {...spec, datasets, vconcat};
}

// The same panels in at most so many columns.
function reflowed(spec, columns) {
  const rows = [];
  for (const row of spec.vconcat) {
    for (let k = 0; k < row.hconcat.length; k += columns) rows.push({...row, hconcat: row.hconcat.slice(k, k + columns)});
  }
  return {...spec, vconcat: rows};
}

// A drag along alpha and a click in a legend choose runs as the form does: they set it, and it is drawn into each chart.
const OFF_RUNS = "!(event.item && event.item.datum && event.item.datum.run_id)"; // a click on a run shows it
const BRUSH = {
  type: "interval", encodings: ["x"], zoom: false, translate: false, clear: false,
  on: `[pointerdown[${OFF_RUNS}], window:pointerup] > window:pointermove!`,
  mark: {fill: "#888888", fillOpacity: 0.12, stroke: "#888888"},
};

// The chart with its parameters, and of each parameter the axis that it chooses of.
function interactive(spec, choice) {
  const params = new Map();
  const withParams = (layer, k) => {
    const added = [];
    const add = (axis, param) => {
      params.set(`choice_${params.size}`, axis);
      added.push({name: `choice_${params.size - 1}`, ...param});
    };
    if (k.brush && layer.encoding?.x?.field === "alpha" && layer.encoding.x.type === "quantitative") {
      k.brush = false;
      add("alpha", {select: BRUSH, ...(choice.narrowed.alpha && {value: {x: choice.edges}})});
    }
    const color = layer.encoding?.color;
    for (const axis of ["architecture", "depth"]) {
      if (color?.field !== axis || color.legend === null || k.legends.has(axis)) continue;
      k.legends.add(axis);
      const value = choice.narrowed[axis] && [...choice[axis]].map(each => ({[axis]: each}));
      add(axis, {select: {type: "point", fields: [axis], toggle: "true"}, bind: "legend", ...(value && {value})});
    }
    return added.length ? {...layer, params: [...layer.params ?? [], ...added]} : layer;
  };
  const legends = new Set();
  const panel = each => {
    const k = {brush: true, legends};
    return each.layer ? {...each, layer: each.layer.map(layer => withParams(layer, k))} : withParams(each, k);
  };
  const vconcat = spec.vconcat.map(row => ({...row, hconcat: row.hconcat.map(panel)}));
  return {params, spec: {...spec, vconcat}};
}

// What a parameter says becomes the form's choice; nothing said is everything.
function choose(axis, value) {
  const form = document.getElementById("selection");
  if (axis === "alpha") {
    const {from, to} = form.elements;
    const [low, high] = value.alpha ?? [0, Infinity];
    const inside = [...from.options].flatMap(({value}, k) => (low <= value && value <= high ? [k] : []));
    if (inside.length) [from.selectedIndex, to.selectedIndex] = [inside[0], inside.at(-1)];
  } else {
    const named = value[axis]?.map(String);
    for (const box of form.querySelectorAll(`input[name=${axis}]`)) box.checked = named?.includes(box.value) ?? true;
  }
  drawAll();
}

let held = false; // whether a button is down
let pending = null; // what a drag has chosen so far

function settle() {
  if (pending && !held) choose("alpha", pending);
  if (!held) pending = null;
}
window.addEventListener("pointerdown", () => { held = true; }, true);
for (const end of ["pointerup", "pointercancel"]) {
  window.addEventListener(end, () => { held = false; settle(); }, true);
}

const OPTIONS = {renderer: "svg", actions: {export: true, source: false, compiled: false, editor: false}};

let turn = 0; // of drawing: what an earlier one still has to draw is left

async function draw(name, choice, mine) {
  const place = document.getElementById(`chart-${name}`);
  const {spec, params} = interactive(selected(specs.get(name), choice), choice);
  if (!spec.vconcat.length) {
    place.textContent = "No run of the selection is in this chart.";
    return;
  }
  try {
    // labels are as wide as they are drawn: fewer columns until they fit
    let columns = Math.max(...spec.vconcat.map(row => row.hconcat.length));
    let view, least;
    do {
      ({view} = await vegaEmbed(place, reflowed(spec, columns), OPTIONS));
      if (mine !== turn) return;
      const svg = place.querySelector("svg.marks");
      least = SMALLEST * Number(svg.getAttribute("width"));
      svg.style.minWidth = `${least}px`;
      columns = Math.min(columns - 1, Math.max(1, Math.floor(columns * place.clientWidth / least)));
    } while (least > place.clientWidth && columns >= 1);
    for (const [param, axis] of params) {
      view.addSignalListener(param, (_, value) => {
        if (axis !== "alpha") return choose(axis, value);
        pending = value;
        settle();
      });
    }
    view.addEventListener("click", (event, item) => { if (item?.datum?.run_id) show(item.datum.run_id); });
  } catch (error) {
    place.textContent = `This chart could not be drawn: ${error.message}`;
    place.classList.add("error");
  }
}

async function drawAll() {
  const choice = chosen();
  const mine = ++turn;
  for (const name of specs.keys()) {
    if (mine === turn) await draw(name, choice, mine);
  }
  if (mine !== turn) return;
  document.body.dataset.drawn = String(Number(document.body.dataset.drawn ?? 0) + 1);
}

// A run: its axes, what theory says of it, and its path.
function show(id) {
  const run = Object.hasOwn(runs, id) ? runs[id] : undefined;
  const dialog = document.getElementById("run");
  dialog.querySelector("h2").textContent = `Run ${id}`;
  const list = dialog.querySelector("dl");
  list.replaceChildren();
  for (const [axis, value] of Object.entries(run?.axes ?? {})) {
    const term = document.createElement("dt");
    const said = document.createElement("dd");
    term.textContent = axis;
    said.textContent = value;
    list.append(term, said);
  }
  const body = dialog.querySelector("tbody");
  body.replaceChildren();
  for (const prediction of run?.predictions ?? []) {
    const line = body.insertRow();
    for (const cell of prediction) line.insertCell().textContent = cell;
  }
  dialog.querySelector("table").hidden = !run;
  dialog.querySelector(".more").textContent = run ? "" : "This page holds no more of this run than its points.";
  // an id is hexadecimal; whatever else a store holds is nothing to paste into a shell
  dialog.querySelector(".whole").hidden = !/^[0-9a-f]+$/.test(id);
  dialog.querySelector("code").textContent = `sweep show ${id}`;
  dialog.showModal();
  const place = dialog.querySelector(".path");
  place.replaceChildren();
  if (run?.path) vegaEmbed(place, path(run.path), {...OPTIONS, actions: false});
}

function path({time, beta}) {
  const values = beta.flatMap(({coordinate, values}) => values.map((value, k) => ({coordinate, value, time: time[k]})));
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    width: 380, height: 200, background: "white", data: {values},
    description: "The largest coefficients of this run against time.",
    mark: {type: "line", clip: true},
    encoding: {
      x: {field: "time", type: "quantitative", title: "log of time t", scale: {zero: false}},
      y: {field: "value", type: "quantitative", title: "coefficients β"},
      color: {field: "coordinate", type: "nominal", title: "coordinate"},
    },
  };
}

// Tables: a click on a heading sorts by it, a second one the other way.
function sortKey(cell) {
  const text = cell.textContent.trim();
  const number = Number(text.replaceAll(",", "").replaceAll("−", "-").split(" ")[0]);
  return text === "–" ? Infinity : Number.isNaN(number) ? text : number;
}

function sortable(table) {
  table.querySelectorAll("th").forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map(row => [sortKey(row.cells[column]), row]);
      rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

document.querySelectorAll("section table").forEach(sortable);
document.getElementById("selection").addEventListener("change", drawAll);
document.getElementById("selection").addEventListener("reset", () => setTimeout(drawAll));
document.getElementById("find").addEventListener("submit", event => {
  event.preventDefault();
  show(event.target.elements.run.value.trim());
});
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth !== width) { width = window.innerWidth; drawAll(); }
});
drawAll();
