/** One video: its player, the slider, and all that is known of it. */
const viewer = document.getElementById("viewer");
const variantTitles = Object.fromEntries(page.variants.map((variant) => [variant.key, variant.title]));
const several = page.variants.length > 1;
let shownVideo = null;
let shownPlayer = null;

function playable(video) {
  const results = video.results.filter((result) => result.url).map((result) => ({
    label: several ? variantTitles[result.variant] : "result",
    url: result.url,
    isResult: true,
    sameAs: result.sameAs,
  }));
  return [...video.clips, ...results];
}

function clipVideo(clip, className) {
  return element("video", { src: clip.url, preload: "auto", muted: true, playsInline: true, className: className || "" });
}

/** All clips beside each other. */
function gridOf(player, clips) {
  const shown = clips.filter((clip) => !clip.sameAs);
  const videos = shown.map((clip) => clipVideo(clip));
  const cells = shown.map((clip, index) => {
    videos[index].addEventListener("click", () => player.toggle());
    return element("figure", {}, element("figcaption", {}, clip.label), videos[index]);
  });
  return { view: element("div", { className: "cells" }, ...cells), videos };
}

/** Two clips on top of each other, and a line between them that can be drawn. */
function sliderOf(player, clips) {
  const choose = (label, chosen) => element("select", { "aria-label": label },
    ...clips.map((clip, index) => element("option", { value: index, selected: index === chosen }, clip.label)));
  const left = choose("Left of the line", 0);
  const right = choose("Right of the line", clips.length - 1);
  const stage = element("div", { className: "stage", tabIndex: 0, role: "slider", "aria-label": "Before and after",
    "aria-valuemin": "0", "aria-valuemax": "100" });
  const cut = (share) => {
    const percent = Math.max(0, Math.min(100, share * 100));
    stage.style.setProperty("--cut", `${percent}%`);
    stage.setAttribute("aria-valuenow", percent.toFixed(0));
    stage.dataset.cut = percent;
  };
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    cut((event.clientX - box.left) / box.width);
  };
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); follow(event); });
  stage.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  stage.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -0.02, ArrowRight: 0.02 };
    if (!event.shiftKey || !(event.key in moves)) return;
    event.preventDefault();
    event.stopPropagation();
    cut(Number(stage.dataset.cut) / 100 + moves[event.key]);
  });
  const load = () => {
    const below = clipVideo(clips[right.value]);
    const over = clipVideo(clips[left.value], "over");
    stage.replaceChildren(below, over,
      element("span", { className: "tag left" }, clips[left.value].label),
      element("span", { className: "tag right" }, clips[right.value].label),
      element("span", { className: "handle" }));
    player.use([below, over]);
  };
  left.addEventListener("change", load);
  right.addEventListener("change", load);
  cut(0.5);
  const chooser = element("div", { className: "bar" }, element("label", {}, "left ", left), element("label", {}, "right ", right),
    element("span", { className: "soft" }, "draw the line, or Shift and the arrow keys"));
  return { view: element("div", {}, chooser, stage), load };
}

function playerOf(video) {
  const clips = playable(video);
  if (!clips.length) return element("p", { className: "soft" }, "There is nothing to play.");
  const player = shownPlayer = new Player(video.fps);
  const controls = controlsOf(player);
  const place = element("div", {});
  const grid = element("button", { type: "button", "aria-pressed": "true" }, "Side by side");
  const slider = element("button", { type: "button", "aria-pressed": "false" }, "Before | after");
  const showGrid = () => {
    const { view, videos } = gridOf(player, clips);
    place.replaceChildren(view);
    player.use(videos);
  };
  const showSlider = () => {
    const { view, load } = sliderOf(player, clips);
    place.replaceChildren(view);
    load();
  };
  const press = (pressed) => {
    for (const button of [grid, slider]) button.setAttribute("aria-pressed", String(button === pressed));
  };
  grid.addEventListener("click", () => { press(grid); showGrid(); });
  slider.addEventListener("click", () => { press(slider); player.pause(); showSlider(); });
  showGrid();
  const modes = element("div", { className: "chips", role: "group", "aria-label": "View" }, grid, slider);
  if (clips.length < 2) slider.disabled = true;
  return element("div", { className: "player" }, modes, place, controls);
}

function pictured(title, url, note) {
  if (!url) return null;
  return element("section", {}, element("h3", {}, title), element("img", { src: url, alt: title, loading: "lazy" }),
    note ? element("p", { className: "soft" }, note) : null);
}

function numbersOf(video) {
  const having = page.metrics.filter((metric) => video.results.some((result) => metric.key in result.values || result.unavailable[metric.key]));
  if (!having.length) return null;
  const head = element("tr", {}, element("th", { scope: "col" }, "Metric"),
    ...video.results.map((result) => element("th", { scope: "col" }, several ? variantTitles[result.variant] : "Result")));
  const rows = having.map((metric) => element("tr", { title: metric.definition },
    element("th", { scope: "row" }, metric.label, element("small", {}, metric.unit)),
    ...video.results.map((result) => numberCell(result, metric))));
  const table = element("table", { className: "numbers" }, element("thead", {}, head), element("tbody", {}, ...rows));
  return element("section", { className: "wide" }, element("h3", {}, "Metrics"), element("div", { className: "scroll" }, table));
}

function numberCell(result, metric) {
  const value = result.values[metric.key];
  if (value !== undefined) return element("td", {}, shownNumber(value));
  return element("td", { className: "soft" }, "–", element("small", {}, result.unavailable[metric.key] || ""));
}

function captionOf(video) {
  if (!video.caption && !video.captionFrame) return null;
  const said = [video.captionSource, ...video.captionFlags].filter(Boolean).join(", ");
  return element("section", {}, element("h3", {}, "Caption"),
    video.caption ? element("p", { className: "prompt" }, `“${video.caption}”`) : null,
    said ? element("p", { className: "soft" }, said) : null,
    video.captionFrame ? element("img", { src: video.captionFrame, alt: "What the captioner saw", loading: "lazy" }) : null);
}

function resultOf(result) {
  const title = several ? variantTitles[result.variant] : "Result";
  const memory = result.memory ? `${(result.memory / 2 ** 30).toFixed(2)} GiB of memory at most` : "";
  const times = result.seconds.map(([phase, shown]) => `${phase} ${shown}`).join(" · ");
  return element("section", {},
    element("h3", {}, `${title} `, element("span", { className: `chip ${result.status}` }, result.status)),
    result.reason ? element("p", { className: "reason" }, result.reason) : null,
    result.sameAs ? element("p", { className: "soft" }, `the same as ${result.sameAs}`) : null,
    several && result.prompt ? element("p", { className: "prompt" }, `“${result.prompt}”`) : null,
    times || memory ? element("p", { className: "soft" }, [times, memory].filter(Boolean).join(" · ")) : null,
    result.judgement ? element("p", {}, `The judge (a model's opinion, no metric): ${result.judgement}`) : null,
    ...result.notes.map((note) => element("p", { className: "soft" }, note)),
    result.files.length ? element("details", {}, element("summary", {}, `${result.files.length} files`),
      element("ul", {}, ...result.files.map(([label, url]) => element("li", {}, element("a", { href: url }, label))))) : null);
}

function openVideo(name) {
  const index = page.videos.findIndex((video) => video.name === name);
  if (index < 0) return;
  closePlayer();
  const video = shownVideo = page.videos[index];
  const go = (step) => openVideo(page.videos[(index + step + page.videos.length) % page.videos.length].name);
  const previous = element("button", { type: "button", title: "Previous video (p)" }, "‹ previous");
  const next = element("button", { type: "button", title: "Next video (n)" }, "next ›");
  const close = element("button", { type: "button", title: "Escape" }, "Close");
  previous.addEventListener("click", () => go(-1));
  next.addEventListener("click", () => go(1));
  close.addEventListener("click", () => viewer.close());
  const anchors = video.results.filter((result) => result.anchor && !result.sameAs);
  viewer.replaceChildren(
    element("div", { className: "bar" },
      element("h2", { id: "viewer-title" }, video.name, " ", element("span", { className: `chip ${video.status}` }, video.status)),
      previous, next, close),
    element("p", { className: "reason" }, video.reason ? `${video.phase}: ${video.reason}` : ""),
    playerOf(video),
    element("div", { className: "facts" },
      captionOf(video),
      ...anchors.map((result) => pictured(several ? `Anchor of ${variantTitles[result.variant]}` : "Anchor", result.anchor)),
      ...video.results.map(resultOf),
      numbersOf(video)));
  viewer.go = go;
  if (!viewer.open) viewer.showModal();
  viewer.scrollTop = 0;
  history.replaceState(null, "", `#video=${encodeURIComponent(name)}`);
}

function closePlayer() {
  if (shownPlayer) shownPlayer.stop();
  shownPlayer = null;
}

viewer.addEventListener("close", () => {
  closePlayer();
  viewer.replaceChildren();
  shownVideo = null;
  history.replaceState(null, "", location.pathname + location.search);
});
viewer.addEventListener("keydown", (event) => {
  if (shownPlayer && playerKeys(shownPlayer, event)) return;
  const typing = ["INPUT", "SELECT"].includes(event.target.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") viewer.go(1);
  if (event.key === "p") viewer.go(-1);
});

function openFromAddress() {
  const found = /^#video=(.+)$/.exec(location.hash);
  if (found) openVideo(decodeURIComponent(found[1]));
}
window.addEventListener("hashchange", openFromAddress);
