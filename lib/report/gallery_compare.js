/** Clips beside each other, or two of them on top of each other with a line between. */

/** All that can be played of a video: source, mask, coarse, then the results. A result that is another's file is left out. */
function playable(video) {
  const results = video.results.filter((result) => result.url && !result.sameAs).map((result) => ({
    label: several ? variantTitles[result.variant] : "result",
    url: result.url,
    file: result.file,
    isResult: true,
  }));
  return [...video.clips, ...results];
}

function clipVideo(url) {
  return element("video", { src: url, preload: "auto", muted: true, playsInline: true, disablePictureInPicture: true });
}

function unplayable(clip) {
  return element("p", { className: "unplayable" }, "This browser cannot play ", element("a", { href: clip.file }, "the file"));
}

/** A link to the file itself where a copy of it is played. */
function itself(clip) {
  if (clip.url === clip.file) return null;
  const title = "Browsers do not play the file itself: its depth, chroma or colours. A copy with 8 bits is played.";
  return element("span", {}, " · a copy is played of ", element("a", { href: clip.file, title }, "the file"));
}

const hiddenLabels = new Set();  // of clips, in all videos

/** All clips beside each other; each can be hidden. */
function gridOf(player, clips) {
  const cells = element("div", { className: "cells" });
  const show = () => {
    const videos = clips.filter((clip) => !hiddenLabels.has(clip.label)).map((clip) => {
      const video = clipVideo(clip.url);
      const figure = element("figure", {}, element("figcaption", {}, clip.label, itself(clip)), video);
      video.addEventListener("click", () => player.toggle());
      video.addEventListener("error", () => video.replaceWith(unplayable(clip)));
      return { video, figure };
    });
    cells.replaceChildren(...videos.map(({ figure }) => figure));
    cells.dataset.count = videos.length;
    player.use(videos.map(({ video }) => video));
  };
  const toggles = clips.map((clip) => {
    const toggle = button(clip.label, "Show or hide", () => {
      if (!hiddenLabels.delete(clip.label)) hiddenLabels.add(clip.label);
      toggle.setAttribute("aria-pressed", String(!hiddenLabels.has(clip.label)));
      show();
    });
    toggle.setAttribute("aria-pressed", String(!hiddenLabels.has(clip.label)));
    return toggle;
  });
  const bar = element("div", { className: "chips shown", role: "group", "aria-label": "Clips shown" }, ...toggles);
  return { view: element("div", {}, cells, bar), show };
}

/** Where the line stands: moved by pointer, or by the arrow keys when it has the focus. What is under it is what zooming enlarges. */
function cutStage() {
  const stage = element("div", { className: "stage", tabIndex: 0, role: "slider", "aria-label": "Line between left and right",
    "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "horizontal" });
  const cut = (percent, height) => {
    const inside = Math.max(0, Math.min(100, percent));
    stage.style.setProperty("--cut", `${inside}%`);
    if (height !== undefined) stage.style.setProperty("--height", `${Math.max(0, Math.min(100, height))}%`);
    stage.setAttribute("aria-valuenow", inside.toFixed(0));
    stage.dataset.cut = inside;
  };
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    cut((event.clientX - box.left) / box.width * 100, (event.clientY - box.top) / box.height * 100);
  };
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); follow(event); });
  stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) follow(event); });
  stage.addEventListener("mousedown", (event) => event.preventDefault());  // no focus: the arrow keys go on stepping frames
  stage.addEventListener("keydown", (event) => {
    const at = Number(stage.dataset.cut);
    const step = event.shiftKey ? 10 : 1;
    const height = { ArrowUp: -step, ArrowDown: step }[event.key];
    const moved = height ? at : { ArrowLeft: at - step, ArrowRight: at + step, Home: 0, End: 100 }[event.key];
    if (moved === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    cut(moved, height && parseFloat(stage.style.getPropertyValue("--height")) + height);
  });
  cut(50, 50);
  return stage;
}

/** Two clips on top of each other; source and the first result, or what was chosen for the last video. */
const chosenLabels = { left: "", right: "" };

function sliderOf(player, clips) {
  const labels = clips.map((clip) => clip.label);
  const chooser = (side, otherwise) => {
    const chosen = labels.includes(chosenLabels[side]) ? labels.indexOf(chosenLabels[side]) : otherwise;
    const select = element("select", { "aria-label": `On the ${side}` },
      ...labels.map((label, index) => element("option", { value: index, selected: index === chosen }, label)));
    select.addEventListener("change", () => { chosenLabels[side] = labels[select.value]; show(); });
    return select;
  };
  const firstResult = clips.findIndex((clip) => clip.isResult);
  const left = chooser("left", 0);
  const right = chooser("right", firstResult > 0 ? firstResult : clips.length - 1);
  const stage = cutStage();
  const show = () => {
    const [over, below] = [clips[left.value], clips[right.value]];
    const videos = [clipVideo(below.url), clipVideo(over.url)];
    videos[0].addEventListener("loadedmetadata", () => fit(stage, videos[0]));
    videos.forEach((video, index) => video.addEventListener("error", () => stage.append(unplayable([below, over][index]))));
    stage.replaceChildren(videos[0], element("div", { className: "over" }, videos[1]), element("span", { className: "tag left" }, over.label),
      element("span", { className: "tag right" }, below.label), element("span", { className: "handle" }));
    player.use(videos);
  };
  const swap = button("⇄", "Swap left and right", () => {
    [left.value, right.value] = [right.value, left.value];
    [chosenLabels.left, chosenLabels.right] = [labels[left.value], labels[right.value]];
    show();
  });
  swap.setAttribute("aria-label", "Swap left and right");
  const zoom = zoomOf(stage);
  const bar = element("div", { className: "bar" }, element("label", {}, "left ", left), swap, element("label", {}, "right ", right),
    element("label", {}, "zoom ", zoom));
  return { view: element("div", {}, bar, stage), show };
}

let zoomed = "1";  // as was chosen for the last video

function zoomOf(stage) {
  const select = element("select", {}, ...["1", "2", "4", "8"].map((times) => element("option", { value: times, selected: times === zoomed }, `${times}×`)));
  const apply = () => {
    zoomed = select.value;
    stage.style.setProperty("--zoom", zoomed);
    stage.classList.toggle("zoomed", zoomed !== "1");
  };
  select.addEventListener("change", apply);
  apply();
  return select;
}

/** As large as the window allows, small clips too. */
function fit(stage, video) {
  stage.style.setProperty("--shape", video.videoWidth / video.videoHeight);
}

let comparing = false;  // the view that was chosen for the last video

/** The views of a video, the one that was chosen last, and what moves them. */
function viewsOf(player, clips) {
  const place = element("div", {});
  const show = () => {
    const { view, show: load } = comparing ? sliderOf(player, clips) : gridOf(player, clips);
    place.replaceChildren(view);
    load();
    grid.setAttribute("aria-pressed", String(!comparing));
    slider.setAttribute("aria-pressed", String(comparing));
  };
  const grid = button("Side by side", "Clips beside each other: g", () => { comparing = false; show(); });
  const slider = button("Before | after", "Two clips with a line between: b", () => { comparing = true; player.pause(); show(); });
  const controls = controlsOf(player);
  const modes = element("div", { className: "chips modes", role: "group", "aria-label": "View" }, grid, slider);
  slider.disabled = clips.length < 2;
  comparing = comparing && clips.length > 1;
  show();
  return { view: element("div", { className: "player" }, modes, place, controls), keys: { g: grid, b: slider } };
}
