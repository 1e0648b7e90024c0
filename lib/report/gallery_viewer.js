/** One video: its player, and all that is known of it. */
const viewer = document.getElementById("viewer");
let opened = null;  // { index, player, keys } of the video that is shown
let cameByClick = false;

function pictured(title, url) {
  return element("section", {}, element("h3", {}, title), element("img", { src: url, alt: title }));
}

function captionOf(video) {
  if (!video.caption && !video.captionFrame) return null;
  const said = [video.captionSource, ...video.captionFlags].filter(Boolean).join(", ");
  return element("section", {}, element("h3", {}, "Caption"),
    video.caption ? element("p", { className: "prompt", dir: "auto" }, `“${video.caption}”`) : null,
    said ? element("p", { className: "soft" }, said) : null,
    video.captionFrame ? element("img", { src: video.captionFrame, alt: "The frame that was captioned, the hole grayed" }) : null);
}

/** Each note once, whichever phases told it; doubts about the files look different from what became of the result. */
function notesOf(video) {
  if (!video.notes.length) return null;
  const item = (note) => element("li", { dir: "auto" }, note.text,
    note.variants.length ? element("small", {}, note.variants.map((key) => variantTitles[key]).join(", ")) : null);
  const group = (kind, title) => {
    const notes = video.notes.filter((note) => note.kind === kind);
    return notes.length ? element("div", { className: `notes ${kind}` }, element("h3", {}, title), element("ul", {}, ...notes.map(item))) : null;
  };
  return element("section", { className: "wide" }, group("input", "About your files"), group("result", "About the result"));
}

function filesOf(result) {
  if (!result.files.length) return null;
  const links = result.files.map(([label, url]) => element("li", {}, element("a", { href: url }, label)));
  return element("details", {}, element("summary", {}, `${links.length} ${links.length === 1 ? "file" : "files"}`), element("ul", {}, ...links));
}

function resultOf(result, video) {
  const title = several ? variantTitles[result.variant] : "Result";
  const soft = (text) => text ? element("p", { className: "soft", dir: "auto" }, text) : null;
  const memory = result.memory ? `${shownMemory(result)} GiB of memory at most` : "";
  const times = result.seconds.map(([phase, shown]) => `${phase} ${shown}`);
  return element("section", { className: "result" },
    element("h3", {}, `${title} `, element("span", { className: `chip ${result.status}` }, result.status)),
    result.reason && result.reason !== video.reason ? element("p", { className: "reason" }, result.reason) : null,
    soft(result.sameAs ? `The same file as ${result.sameAs}.` : ""),
    result.prompt && result.prompt !== video.caption ? element("p", { className: "prompt", dir: "auto" }, `“${result.prompt}”`) : null,
    soft([...times, memory].filter(Boolean).join(" · ")),
    result.judgement ? element("p", {}, `Judge (a model's opinion, no metric): ${result.judgement}`) : null,
    soft(result.notCarried ? `Not carried over from the source: ${result.notCarried}` : ""),
    filesOf(result));
}

function shownMemory(result) { return (result.memory / 2 ** 30).toFixed(2); }

/** A row for each metric that any result has or lacks for a reason; its name unfolds the definition. */
function numbersOf(video) {
  const having = page.metrics.filter((metric) => video.results.some((result) => metric.key in result.values || metric.key in result.unavailable));
  if (!having.length) return null;
  const head = element("tr", {}, element("th", { scope: "col" }, "Metric"),
    ...video.results.map((result) => element("th", { scope: "col" }, several ? variantTitles[result.variant] : "Value")));
  const rows = having.map((metric) => element("tr", {},
    element("th", { scope: "row" }, element("details", {}, element("summary", {}, `${metric.label}\u00a0${metric.arrow} `,
      metric.unit ? element("small", {}, metric.unit) : null), element("p", { className: "soft" }, metric.definition))),
    ...numberCells(video, metric)));
  const table = element("table", { className: "numbers" }, element("thead", {}, head), element("tbody", {}, ...rows));
  return element("section", { className: "wide" }, element("h3", {}, "Metrics"), element("div", { className: "scroll" }, table));
}

/** One cell for all results where none has a number, for one reason. */
function numberCells(video, metric) {
  const why = new Set(video.results.filter((result) => !result.sameAs).map((result) => result.unavailable[metric.key]));
  const none = video.results.every((result) => !(metric.key in result.values));
  if (none && why.size === 1) return [element("td", { className: "soft", colSpan: video.results.length }, "– ", ...why)];
  return video.results.map((result) => element("td", {}, metricShown(video, result, metric),
    metric.key in result.values ? null : element("small", {}, result.unavailable[metric.key] || "")));
}

/** The best of the video's results, as they are shown; nothing where all are shown alike. */
function bestOf(video, metric) {
  const values = video.results.map((result) => result.values[metric.key]).filter((value) => value !== undefined);
  if (!metric.better || new Set(values.map(shownNumber)).size < 2) return undefined;
  return shownNumber(metric.better === "higher" ? Math.max(...values) : Math.min(...values));
}

function metricShown(video, result, metric) {
  const value = result?.values[metric.key];
  const shown = shownNumber(value);
  if (value !== undefined && shown === bestOf(video, metric)) return element("strong", { title: "the best of the variants" }, shown);
  return element("span", { title: value === undefined ? result?.unavailable[metric.key] || "" : "" }, shown);
}

function factsOf(video) {
  const users = new Map();  // of each anchor: variants share them
  for (const result of video.results.filter((one) => one.anchor)) {
    users.set(result.anchor, [...users.get(result.anchor) || [], variantTitles[result.variant]]);
  }
  const anchors = [...users].map(([url, titles]) => pictured(users.size > 1 ? `Anchor of ${titles.join(", ")}` : "Anchor", url));
  return element("div", { className: "facts" }, notesOf(video), captionOf(video), ...anchors, ...video.results.map((result) => resultOf(result, video)), numbersOf(video));
}

function playerOf(video) {
  const clips = playable(video);
  if (!clips.length) return { view: element("p", { className: "soft" }, "There is nothing to play."), player: null, keys: {} };
  const player = new Player(video);
  return { ...viewsOf(player, clips), player };
}

function showVideo(index) {
  opened?.player?.stop();
  const video = page.videos[index];
  const { view, player, keys } = playerOf(video);
  opened = { index, player, keys };
  const bar = element("div", { className: "bar" },
    element("h2", { id: "viewer-title", dir: "auto" }, video.name, " ", element("span", { className: `chip ${video.status}` }, video.status)),
    button("‹ previous", "p", () => go(-1)), button("next ›", "n", () => go(1)), button("Close", "Escape", () => viewer.close()));
  bar.classList.add("top");
  const reason = video.reason ? element("p", { className: "reason" }, [video.phase, video.reason].filter(Boolean).join(": ")) : "";
  viewer.replaceChildren(...[bar, reason, view, factsOf(video)].filter(Boolean));
  if (!viewer.open) viewer.showModal();
  viewer.focus();
  viewer.scrollTop = 0;
}

/** To another video, in the order of the table. */
function go(step) {
  const order = shownOrder();
  const at = order.indexOf(page.videos[opened.index]);
  const video = order[(at + step + order.length) % order.length];
  if (!video) return;
  setAddress(addressOf(video), true);
  showVideo(page.videos.indexOf(video));
}

function addressOf(video) { return `#video=${encodeURIComponent(video.name.toWellFormed?.() ?? video.name)}`; }

/** Browsers refuse this in some places, and when it is done too often: the page works without. */
function setAddress(hash, replace) {
  try {
    history[replace ? "replaceState" : "pushState"](null, "", hash || location.pathname + location.search);
  } catch { /* no address for this video */ }
}

/** Opened by hand: the browser's way back closes it. */
function openVideo(video) {
  cameByClick = true;
  setAddress(addressOf(video), false);
  showVideo(page.videos.indexOf(video));
}

function openFromAddress() {
  const found = page.videos.findIndex((video) => addressOf(video) === location.hash);
  if (found >= 0) showVideo(found);
  else if (viewer.open) viewer.close();
}

viewer.addEventListener("close", () => {
  opened?.player?.stop();
  opened = null;
  viewer.replaceChildren();
  if (!location.hash) return;
  if (cameByClick) history.back();
  else setAddress("", true);
});
viewer.addEventListener("keydown", (event) => {
  if (!opened || (opened.player && playerKeys(opened.player, event))) return;
  if (["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") go(1);
  else if (event.key === "p") go(-1);
  else opened.keys[event.key]?.click();
});
window.addEventListener("popstate", () => { cameByClick = false; openFromAddress(); });
