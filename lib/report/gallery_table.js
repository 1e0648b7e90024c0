/** The table of videos: sorted, filtered, with the numbers of one variant. */
const state = { column: -1, down: false, status: "", words: "", variant: page.variants[0]?.key };
const table = document.getElementById("table");

const resultIn = (video) => video.results.find((result) => result.variant === state.variant);
const columns = [
  { title: "", className: "picture", cell: (video) => video.thumbnail
    ? element("img", { src: video.thumbnail, alt: "", loading: "lazy", decoding: "async" }) : "" },
  { title: "Video", className: "name", sort: (video) => video.name, cell: (video) => {
    const button = element("button", { type: "button" }, video.name);
    button.addEventListener("click", (event) => { event.stopPropagation(); openVideo(video.name); });
    return button;
  } },
  { title: "Status", sort: (video) => video.status, cell: (video) => element("span", { className: `chip ${video.status}` }, video.status) },
  { title: "Caption", className: "caption", sort: (video) => video.caption || null, cell: (video) => element("div", {},
    video.reason ? element("p", { className: "reason" }, `${video.phase}: ${video.reason}`) : null,
    video.caption ? element("p", {}, video.caption) : null,
    video.captionFlags.length ? element("p", { className: "soft" }, video.captionFlags.join(", ")) : null,
    resultIn(video)?.judgement ? element("p", { className: "soft" }, `judge: ${resultIn(video).judgement}`) : null) },
  { title: "Time", unit: "s", className: "number", sort: (video) => resultIn(video)?.totalSeconds ?? null,
    cell: (video) => resultIn(video)?.totalSeconds ? resultIn(video).totalSeconds.toFixed(1) : "–" },
  { title: "Memory", unit: "GiB", className: "number", sort: (video) => resultIn(video)?.memory ?? null,
    cell: (video) => resultIn(video)?.memory ? (resultIn(video).memory / 2 ** 30).toFixed(2) : "–" },
  ...page.metrics.filter((metric) => metric.key !== "vfid").map((metric) => ({
    title: metric.label, unit: metric.unit, hint: metric.definition, className: "number", number: true,
    sort: (video) => resultIn(video)?.values[metric.key] ?? null,
    cell: (video) => metricShown(resultIn(video), metric),
  })),
];

function metricShown(result, metric) {
  const value = result?.values[metric.key];
  const why = result?.unavailable[metric.key] || "";
  return element("span", { title: value === undefined ? why : "" }, shownNumber(value));
}

function drawHead() {
  const cells = columns.map((column, index) => {
    const cell = element("th", { scope: "col", title: column.hint || "" });
    if (!column.sort) return cell;
    const button = element("button", { type: "button" }, column.title);
    button.addEventListener("click", () => sortBy(index));
    cell.append(button, element("small", {}, column.unit || ""));
    if (state.column === index) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    return cell;
  });
  table.tHead.replaceChildren(element("tr", {}, ...cells));
}

function sortBy(index) {
  state.down = state.column === index && !state.down;
  state.column = index;
  draw();
}

function compare(one, other) {
  const column = columns[state.column];
  if (!column) return 0;
  const [a, b] = [column.sort(one), column.sort(other)];
  if (a === null || b === null) return (a === null) - (b === null);  // what is missing comes last either way
  const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  return state.down ? -order : order;
}

function matches(video) {
  if (state.status && video.status !== state.status) return false;
  const text = [video.name, video.caption, video.reason, video.phase, ...video.captionFlags].join(" ").toLowerCase();
  return state.words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function draw() {
  drawHead();
  const videos = page.videos.filter(matches).sort(compare);
  table.tBodies[0].replaceChildren(...videos.map(rowOf));
  document.getElementById("none").hidden = videos.length > 0;
}

function rowOf(video) {
  const cells = columns.map((column) => {
    const cell = element("td", { className: column.className || "" }, column.cell(video));
    if (column.className === "number") cell.dataset.label = column.title + (column.unit ? ` (${column.unit})` : "");
    return cell;
  });
  const row = element("tr", {}, ...cells);
  row.dataset.name = video.name;
  row.addEventListener("click", () => openVideo(video.name));
  return row;
}

document.getElementById("search").addEventListener("input", (event) => { state.words = event.target.value.trim(); draw(); });
document.getElementById("states").addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  state.status = pressed.dataset.status;
  for (const button of document.querySelectorAll("#states button")) button.setAttribute("aria-pressed", String(button === pressed));
  draw();
});
document.getElementById("variant")?.addEventListener("change", (event) => { state.variant = event.target.value; draw(); });
draw();
openFromAddress();
