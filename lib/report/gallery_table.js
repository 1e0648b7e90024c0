/** The table of videos: sorted, filtered, with the numbers of one variant. */
const state = { column: null, down: false, status: "", words: "", variant: page.variants[0]?.key, metric: null };
const table = document.getElementById("table");
const rated = page.metrics.filter((metric) => metric.better);  // others describe the video: its viewer shows them
const measured = rated.filter((metric) => page.videos.some((video) => video.results.some((result) => metric.key in result.values)));
let columns = [];

const resultOfVariant = (video, key) => video.results.find((result) => result.variant === key);
const resultIn = (video) => resultOfVariant(video, state.variant);
const firstColumns = [
  { title: "", className: "picture", cell: (video) => video.thumbnail
    ? element("img", { loading: "lazy", decoding: "async", alt: "", width: 120, height: 68, src: video.thumbnail }) : element("div", { className: "nopicture" }) },
  { title: "Video", className: "name", sort: (video) => video.name, cell: nameCell },
  { title: "Status", className: "status", sort: (video) => video.status, cell: (video) => element("span", { className: `chip ${video.status}` }, video.status) },
  { title: "Caption", className: "caption", sort: (video) => video.caption || null, cell: captionCell },
];

/** All numbers of one variant, or one number of all variants. */
function numberColumns() {
  if (state.metric) return page.variants.map((variant) => metricColumn(variant.title, state.metric, variant.key));
  return [
    { title: "Time", unit: "s", className: "number", sort: (video) => resultIn(video)?.totalSeconds || null,
      cell: (video) => resultIn(video)?.totalSeconds ? resultIn(video).totalSeconds.toFixed(1) : "–" },
    { title: "Memory", unit: "GiB", className: "number", sort: (video) => resultIn(video)?.memory ?? null,
      cell: (video) => resultIn(video)?.memory ? shownMemory(resultIn(video)) : "–" },
    ...measured.map((metric) => metricColumn(metric.label, metric, state.variant)),
  ];
}

function metricColumn(title, metric, key) {
  return {
    title: `${title}\u00a0${metric.arrow}`, unit: metric.unit, hint: metric.definition, className: "number",
    sort: (video) => resultOfVariant(video, key)?.values[metric.key] ?? null,
    cell: (video) => metricShown(video, resultOfVariant(video, key), metric),
  };
}

function nameCell(video) {
  const made = button(video.name, "Open", (event) => { event.stopPropagation(); openVideo(video); });
  made.dir = "auto";
  return made;
}

function captionCell(video) {
  const result = resultIn(video);
  const prompt = result?.prompt || video.caption;
  const reason = video.reason ? [video.phase, video.reason].filter(Boolean).join(": ") : result?.reason;
  const line = (text, className) => text ? element("p", { className, dir: "auto" }, text) : null;
  const doubts = video.notes.filter((note) => note.kind === "input").length;
  return element("div", {}, line(reason, "reason"), line(doubts ? `${doubts} ${doubts === 1 ? "note" : "notes"} about your files` : "", "doubt"),
    line(prompt, ""), line(video.captionFlags.join(", "), "soft"),
    line(result?.judgement ? `judge: ${result.judgement}` : "", "soft"));
}

function makeHead() {
  columns = [...firstColumns, ...numberColumns()];
  state.column = null;
  const cells = columns.map((column) => {
    const cell = column.head = element("th", { scope: "col", title: column.hint || "", className: column.className });
    if (column.sort) cell.append(button(column.title, "", () => sortBy(column)), element("small", {}, column.unit || ""));
    return cell;
  });
  table.tHead.replaceChildren(element("tr", {}, ...cells));
  document.getElementById("sort").replaceChildren(element("option", { value: "" }, "–"), ...columns.flatMap((column, index) => column.sort
    ? [element("option", { value: index }, `${column.title} ▲`), element("option", { value: `${index} down` }, `${column.title} ▼`)] : []));
}

function sortBy(column, down) {
  state.down = down ?? (state.column === column && !state.down);
  state.column = column;
  for (const { head } of columns) head.removeAttribute("aria-sort");
  column?.head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
  draw();
}

function compare(one, other) {
  if (!state.column) return 0;
  const [a, b] = [state.column.sort(one), state.column.sort(other)];
  if (a === null || b === null) return (a === null) - (b === null);  // what is missing comes last either way
  const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  return state.down ? -order : order;
}

function matches(video) {
  if (state.status && video.status !== state.status) return false;
  const results = video.results.flatMap((result) => [result.prompt, result.reason, result.judgement]);
  const text = [video.name, video.caption, video.reason, video.phase, ...video.captionFlags, ...video.notes.map((note) => note.text), ...results].join(" ").toLowerCase();
  return state.words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** The videos of the table, as they stand there. */
function shownOrder() { return page.videos.filter(matches).sort(compare); }

function draw() {
  const videos = shownOrder();
  table.tBodies[0].replaceChildren(...videos.map(rowOf));
  document.getElementById("none").hidden = videos.length > 0;
}

function rowOf(video) {
  const cells = columns.map((column) => {
    const cell = element("td", { className: column.className }, column.cell(video));
    if (column.className === "number") cell.dataset.label = column.title + (column.unit ? ` (${column.unit})` : "");
    if (cell.textContent === "–") cell.classList.add("none");
    return cell;
  });
  const row = element("tr", {}, ...cells);
  row.dataset.name = video.name;
  row.addEventListener("click", () => openVideo(video));
  return row;
}

document.getElementById("search").addEventListener("input", (event) => { state.words = event.target.value.trim(); draw(); });
document.getElementById("states").addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  state.status = pressed.dataset.status;
  for (const other of document.querySelectorAll("#states button")) other.setAttribute("aria-pressed", String(other === pressed));
  draw();
});
document.getElementById("sort").addEventListener("change", (event) => {
  const [index, down] = event.target.value.split(" ");
  sortBy(columns[index] || null, Boolean(down));
});
document.getElementById("numbers")?.append(
  element("optgroup", { label: "all of one variant" }, ...page.variants.map(({ key, title }) => element("option", { value: `variant ${key}` }, `of ${title}`))),
  element("optgroup", { label: "one of all variants" }, ...measured.map(({ key, label }) => element("option", { value: `metric ${key}` }, label))));
document.getElementById("numbers")?.addEventListener("change", (event) => {
  const [kind, key] = [event.target.value.split(" ", 1)[0], event.target.value.slice(event.target.value.indexOf(" ") + 1)];
  state.metric = kind === "metric" ? measured.find((metric) => metric.key === key) : null;
  if (kind === "variant") state.variant = key;
  makeHead();
  draw();
});
makeHead();
draw();
openFromAddress();
