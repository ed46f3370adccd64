"use strict";
const element = (id) => document.getElementById(id);
const leaderboard = JSON.parse(element("data").textContent);
const media = JSON.parse(element("clips").textContent);

function make(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function fill(select, names) {
  select.replaceChildren(...names.map((name, index) => make("option", { value: index }, name)));
}

// Tables: sorted by tablesort, by click or Enter or space; n/a comes last in either order.
const missing = (text) => Number.isNaN(parseFloat(text));
Tablesort.extend("measure", () => false, (a, b) => {
  if (missing(a) || missing(b)) return missing(a) - missing(b) ? (missing(a) ? 1 : -1) * (sortsUp ? -1 : 1) : 0;
  return parseFloat(b) - parseFloat(a);
});
Tablesort.extend("text", () => false, (a, b) => b.localeCompare(a));
let sortsUp = false;
for (const table of document.querySelectorAll("#tables table.ranking")) {
  const headings = [...table.tHead.rows[0].cells];
  for (const heading of headings) {
    const prepare = () => {
      for (const other of headings) if (other !== heading) other.removeAttribute("aria-sort");
      sortsUp = heading.getAttribute("aria-sort") !== "ascending"; // what tablesort will make of it
    };
    heading.addEventListener("click", prepare, true);
    heading.addEventListener("keydown", (event) => {
      if (event.key === "Enter") prepare();
      if (event.key === " ") { event.preventDefault(); heading.click(); }
    }, true);
  }
  new Tablesort(table);
}

function filterRows() {
  const wanted = element("filter").value.trim().toLowerCase();
  const rows = [...document.querySelectorAll("#tables table.ranking tbody tr")];
  for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  const shown = rows.filter((row) => !row.hidden).length;
  element("filter-count").textContent = `${shown} of ${rows.length} rows`;
}
element("filter").addEventListener("input", filterRows);
filterRows();

// Gallery: contact sheets at the finest rate; a coarser rate shows every n-th frame and holds it.
const player = { playing: false, time: 0, last: 0 };

function gallery() { return media.galleries[Number(element("gallery-name").value)]; }
function rate() { return Number(element("gallery-rate").value); }
function count() { return (gallery().frames - 1) * rate() + 1; }

function showGallery() {
  const chosen = gallery();
  fill(element("gallery-clip"), chosen.clips.map((clip) => clip.name));
  const rates = [1, 2, 4, 8].filter((times) => times <= chosen.finer && chosen.finer % times === 0);
  element("gallery-rate").replaceChildren(
    ...rates.map((times) => make("option", { value: times }, `${times}× (${+(times * chosen.rate).toFixed(2)} per second)`)));
  showClip();
}

function showClip() {
  const chosen = gallery();
  const [height, width] = chosen.size;
  const cells = chosen.clips[Number(element("gallery-clip").value)].cells;
  element("gallery-cells").replaceChildren(...cells.map((cell) => {
    const figure = make("figure");
    const canvas = make("canvas", { width, height, role: "img" });
    canvas.sheet = new Image();
    canvas.sheet.onload = draw;
    canvas.sheet.src = cell.sheet;
    canvas.label = cell.label;
    figure.append(canvas, make("figcaption", {}, cell.label));
    return figure;
  }));
  setRate();
}

function setRate() {
  const slider = element("gallery-frame");
  slider.max = count() - 1;
  slider.value = Math.min(Math.floor(player.time * rate() * gallery().rate + 1e-6), count() - 1);
  draw();
}

function draw() {
  const chosen = gallery();
  const frame = Number(element("gallery-frame").value);
  const fine = frame * (chosen.finer / rate());
  const [height, width] = chosen.size;
  const observed = fine % chosen.finer === 0 && chosen.observed[fine / chosen.finer] === 1;
  const held = !observed && chosen.task === "predict" && fine / chosen.finer < chosen.observed.lastIndexOf(1);
  const words = observed ? "observed by the models" : held ? "between observed frames" : "predicted";
  const time = fine / (chosen.finer * chosen.rate);
  for (const canvas of element("gallery-cells").querySelectorAll("canvas")) {
    canvas.classList.toggle("observed", observed || held);
    canvas.setAttribute("aria-label", `${canvas.label}, ${time.toFixed(3)} s, ${words}`);
    if (!canvas.sheet.complete) continue;
    const x = (fine % chosen.columns) * width, y = Math.floor(fine / chosen.columns) * height;
    canvas.getContext("2d").drawImage(canvas.sheet, x, y, width, height, 0, 0, width, height);
  }
  const said = `frame ${frame + 1} of ${count()}, ${time.toFixed(3)} s, ${words}`;
  element("gallery-time").textContent = said;
  element("gallery-frame").setAttribute("aria-valuetext", said);
}

function play(on) {
  player.playing = on;
  element("gallery-play").setAttribute("aria-pressed", String(on));
  element("gallery-play").textContent = on ? "Pause" : "Play";
  if (on) { player.last = performance.now(); requestAnimationFrame(tick); }
}

function tick(now) {
  if (!player.playing) return;
  const chosen = gallery();
  const end = chosen.frames / chosen.rate; // the last frame stands as long as the others
  player.time = (player.time + (now - player.last) / 1000 * Number(element("gallery-speed").value)) % end;
  player.last = now;
  const frame = Math.min(Math.floor(player.time * rate() * chosen.rate + 1e-6), count() - 1);
  if (frame !== Number(element("gallery-frame").value)) {
    element("gallery-frame").value = frame;
    draw();
  }
  requestAnimationFrame(tick);
}

if (media.galleries.length) {
  element("gallery").hidden = false;
  fill(element("gallery-name"), media.galleries.map((one) => one.title));
  element("gallery-name").addEventListener("change", () => { player.time = 0; showGallery(); });
  element("gallery-clip").addEventListener("change", showClip);
  element("gallery-rate").addEventListener("change", setRate);
  element("gallery-play").addEventListener("click", () => play(!player.playing));
  element("gallery-frame").addEventListener("input", () => {
    play(false);
    player.time = Number(element("gallery-frame").value) / (rate() * gallery().rate);
    draw();
  });
  showGallery();
}

// Plots: the rows of one table in one colour each, drawn by uPlot; the same numbers stand in a table below.
const COLOURS = ["#3b82c4", "#d9690f", "#23966b", "#b558a7", "#b08900", "#d14949", "#7a6ff0", "#6b7f8c"];
const hidden = new Set();
let plots = [];

function colours() {
  const style = getComputedStyle(document.documentElement);
  return { ink: style.getPropertyValue("--ink"), line: style.getPropertyValue("--line") };
}

function plot(id, label, unit, series, options = {}) {
  const home = element(id);
  const known = series.filter((one) => one.points.length);
  const xs = [...new Set(known.flatMap((one) => one.points.map((point) => point[0])))].sort((a, b) => a - b);
  if (!xs.length || (options.least && xs.length < options.least)) {
    home.removeAttribute("role");
    home.removeAttribute("aria-label");
    home.replaceChildren(make("p", {}, options.none || "No record has these numbers."));
    return;
  }
  const { ink, line } = colours();
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
  const data = [xs, ...known.map((one) => {
    const at = new Map(one.points);
    return xs.map((x) => at.has(x) ? at.get(x) : null);
  })];
  const margin = (low, high) => {
    const room = low === high ? Math.abs(low) * 0.2 || 1 : (high - low) * 0.08;
    return [low - room, high + room];
  };
  home.replaceChildren();
  plots.push(new uPlot({
    width: Math.max(260, home.clientWidth), height: 300,
    scales: { x: { time: false, range: (_, low, high) => margin(low, high) }, y: { range: (_, low, high) => margin(low, high) } },
    axes: [{ ...axis, label, values: options.ticks }, { ...axis, label: unit, size: 64 }],
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    series: [{}, ...known.map((one) => ({
      label: one.label, stroke: one.colour, width: 2, spanGaps: true,
      show: !hidden.has(one.label), paths: options.line ? undefined : () => null,
      points: { show: true, size: 9, fill: one.colour, stroke: one.colour },
    }))],
  }, data, home));
  home.setAttribute("role", "img");
  home.setAttribute("aria-label", `Plot of ${unit} over ${label}: ${known.map((one) => one.label).join(", ")}. The table below holds its numbers.`);
}

function numbers(value) { return value === null || value === undefined ? "n/a" : String(+value.toPrecision(5)); }

function drawPlots() {
  for (const old of plots) old.destroy();
  plots = [];
  const ranking = leaderboard.rankings[Number(element("plot-ranking").value)];
  const chosen = Number(element("plot-metric").value), cost = Number(element("plot-cost").value);
  const metric = ranking.metrics[chosen];
  const unit = `${metric.name} ${metric.higher ? "↑" : "↓"}`;
  const rows = ranking.rows.map((row, index) => ({ ...row, colour: COLOURS[index % COLOURS.length] }));
  const series = (points) => rows.map((row) => ({ label: row.label, colour: row.colour, points: points(row) }));
  // a cost of nothing has no logarithm: it stands one decade before the least
  const least = Math.min(...rows.map((row) => row.costs[cost]).filter((value) => value > 0));
  const position = (value) => value > 0 ? Math.log10(value) : Math.floor(Math.log10(Number.isFinite(least) ? least : 10)) - 1;
  plot("plot-quality", leaderboard.costs[cost], unit, series((row) =>
    row.values[chosen] && row.costs[cost] !== null ? [[position(row.costs[cost]), row.values[chosen][0]]] : []), {
    ticks: (_, ticks) => ticks.map((tick) => !Number.isInteger(tick) ? "" : tick === position(0) ? "0" : tick < 0 ? String(+(10 ** tick).toPrecision(1)) : (10 ** tick).toLocaleString("en")),
  });
  plot("plot-frames", "target frame", unit, series((row) => row.frames[chosen].map((value, index) => [index + 1, value])), {
    line: true, none: "This metric is not measured for each frame.",
  });
  const sameRow = (row) => leaderboard.rankings
    .filter((other) => other.benchmark === ranking.benchmark && other.group === ranking.group && other.task === ranking.task && other.fps)
    .flatMap((other) => {
      const index = other.metrics.findIndex((one) => one.name === metric.name);
      const match = other.rows.find((one) => one.label === row.label);
      return match && index >= 0 && match.values[index] ? [[other.fps, match.values[index][0]]] : [];
    }).sort((a, b) => a[0] - b[0]);
  plot("plot-rate", "frames per second", unit, series(sameRow), {
    line: true, least: 2, none: "This benchmark was run at one frame rate only.",
  });
  element("plot-legend").replaceChildren(...rows.map((row) => {
    const button = make("button", { type: "button", "aria-pressed": String(!hidden.has(row.label)), style: `--colour: ${row.colour}` }, row.label);
    button.addEventListener("click", () => {
      hidden[hidden.has(row.label) ? "delete" : "add"](row.label);
      const index = rows.indexOf(row);
      drawPlots();
      element("plot-legend").querySelectorAll("button")[index].focus();
    });
    const item = make("li");
    item.append(button);
    return item;
  }));
  const table = make("table", { class: "ranking" });
  table.append(make("caption", {}, `${ranking.title}: ${metric.name}`));
  const head = table.createTHead().insertRow();
  const frames = Array.from({ length: metric.frames }, (_, index) => `frame ${index + 1}`);
  for (const name of ["row", unit, ...leaderboard.costs, ...frames]) head.append(make("th", { scope: "col" }, name));
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    line.append(make("th", { scope: "row" }, row.label));
    for (const value of [row.values[chosen] && row.values[chosen][0], ...row.costs, ...row.frames[chosen]]) line.append(make("td", {}, numbers(value)));
  }
  element("plot-table").replaceChildren(table);
}

if (leaderboard.rankings.length) {
  element("plots").hidden = false;
  fill(element("plot-ranking"), leaderboard.rankings.map((one) => one.title));
  fill(element("plot-cost"), leaderboard.costs);
  const showMetrics = () => {
    const ranking = leaderboard.rankings[Number(element("plot-ranking").value)];
    fill(element("plot-metric"), ranking.metrics.map((one) => one.name));
    const known = (cost) => ranking.rows.some((row) => row.costs[cost] !== null);
    if (!known(element("plot-cost").value)) element("plot-cost").value = Math.max(0, leaderboard.costs.findIndex((_, cost) => known(cost)));
    drawPlots();
  };
  element("plot-ranking").addEventListener("change", showMetrics);
  element("plot-metric").addEventListener("change", drawPlots);
  element("plot-cost").addEventListener("change", drawPlots);
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; drawPlots(); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlots);
  showMetrics();
}

element("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  if (leaderboard.rankings.length) drawPlots();
});
