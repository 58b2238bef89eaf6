// The charts by day; they take their numbers from the table, which htmx keeps up to date.

const HEIGHT = 200;
const DAY = 86400;
const MEGABYTE = 2 ** 20;
const charts = new Map();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const bars = (name) => ({ stroke: colour(name), fill: colour(name), width: 0, paths: uPlot.paths.bars({ size: [0.7, 40], radius: 0.2 }), points: { show: false } });
const line = (name) => ({ stroke: colour(name), width: 2, points: { show: true, size: 6, fill: colour(name) } });
const whole = (value) => (value == null ? "–" : value.toLocaleString());
const short = (value) => (value == null ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 }));

// For each chart the columns of a row: what is drawn, and what the legend says where that differs.
const KINDS = {
  requests: {
    columns: (row) => [row.requests, row.refused + row.failed, row.failed],
    says: (row) => [row.requests, row.refused, row.failed],
    series: () => [bars("--accent"), bars("--warn"), bars("--bad")],
    words: whole,
  },
  faces: { columns: (row) => [row.faces], series: () => [bars("--accent")], words: whole },
  latency: { columns: (row) => [row.p50, row.p95], series: () => [line("--accent"), line("--warn")], words: short },
  stored: { columns: (row) => [row.stored / MEGABYTE], series: () => [bars("--accent")], words: short },
};

const NOTHING = { requests: 0, refused: 0, failed: 0, faces: 0, stored: 0, p50: null, p95: null };

// One row a day, those without requests too.
function rows() {
  const table = document.getElementById("days");
  if (!table) return [];
  const given = new Map([...table.tBodies[0].rows].map(({ dataset }) => {
    const { day, ...texts } = dataset;
    return [Date.parse(day) / 1000, { ...NOTHING, ...Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Number(text)])) }];
  }));
  const found = [];
  for (let at = Date.parse(table.dataset.first) / 1000; at <= Date.parse(table.dataset.last) / 1000; at += DAY) {
    found.push({ at, ...(given.get(at) ?? NOTHING) });
  }
  return found;
}

function draw(host, days) {
  const name = host.id.replace("chart-", "");
  const kind = KINDS[name];
  const columns = days.map(kind.columns);
  const data = [days.map(({ at }) => at), ...kind.series().map((_, index) => columns.map((values) => values[index]))];
  const empty = !data.slice(1).some((column) => column.some(Boolean));
  host.closest("section").hidden = empty;
  if (empty) return;
  document.getElementById(`say-${name}`).textContent = document.getElementById("days").getAttribute(`data-say-${name}`) ?? "";
  host.says = days.map(kind.says ?? kind.columns);
  if (charts.has(host)) {
    charts.get(host).setData(data);
    return;
  }
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const day = new Intl.DateTimeFormat(document.documentElement.lang, { month: "short", day: "numeric", timeZone: "UTC" });
  const labels = JSON.parse(host.dataset.labels);
  charts.set(host, new uPlot({
    width: host.clientWidth,
    height: HEIGHT,
    cursor: { y: false, drag: { x: false, y: false } },
    // Days are those of UTC, whatever the browser's zone.
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
    scales: {
      x: { range: (_, low, high) => [low - DAY / 2, high + DAY / 2] },
      y: { range: (_, __, high) => [0, Math.max(1, high * 1.1)] },
    },
    axes: [
      { ...axis, size: 32, space: 80, grid: { show: false }, incrs: [1, 2, 7, 14, 30, 61, 91].map((days) => days * DAY), values: (_, ticks) => ticks.map((tick) => day.format(tick * 1000)) },
      { ...axis, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6], values: (_, ticks) => ticks.map(whole) },
    ],
    series: [
      { value: (_, moment) => (moment == null ? "–" : day.format(moment * 1000)), label: host.dataset.day },
      ...kind.series().map((look, index) => ({
        ...look,
        label: labels[index],
        value: (_, __, ___, at) => kind.words(at == null ? null : host.says[at][index]),
      })),
    ],
  }, data, host));
}

function drawAll() {
  const days = rows();
  for (const host of document.querySelectorAll(".chart")) draw(host, days);
  // The first picture has come.
  if (days.length) document.getElementById("start")?.remove();
}

let open = false;
document.addEventListener("htmx:beforeSwap", () => { open = document.getElementById("days-table")?.open ?? false; });
document.addEventListener("htmx:afterSettle", () => {
  const table = document.getElementById("days-table");
  if (table && open) table.open = open;
  drawAll();
});
addEventListener("load", drawAll);
// The colours are in the canvas.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  charts.forEach((chart) => chart.destroy());
  charts.clear();
  drawAll();
});
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) charts.get(target)?.setSize({ width: target.clientWidth, height: HEIGHT });
});
for (const host of document.querySelectorAll(".chart")) resized.observe(host);
