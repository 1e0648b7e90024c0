"use strict";

/** What all scripts of the page share: its data, and how elements and numbers are made. */
const page = JSON.parse(document.getElementById("data").textContent);
const several = page.variants.length > 1;
const variantTitles = Object.fromEntries(page.variants.map((variant) => [variant.key, variant.title]));

function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function button(label, title, onClick) {
  const made = element("button", { type: "button", title }, label);
  made.addEventListener("click", onClick);
  return made;
}

function shownNumber(value) {
  if (value === undefined || value === null) return "–";
  return Math.abs(value) >= 10 ? value.toFixed(2) : value.toFixed(3);
}

/** When the video shows where it was sought to and can go on; after four seconds in any case. */
function ready(video) {
  const events = ["canplay", "seeked", "error"];
  return new Promise((resolve) => {
    const look = () => {
      if (!video.error && (video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA || video.seeking)) return;
      for (const name of events) video.removeEventListener(name, look);
      resolve();
    };
    for (const name of events) video.addEventListener(name, look);
    setTimeout(resolve, 4000);
    look();
  });
}

/** Several clips of one length under one clock: the first one leads, the others are kept within half a frame of it. */
class Player {
  constructor({ fps, frames, times }) {
    this.fps = fps;
    this.times = times;  // where frames last unequally: when each starts and the last one ends
    this.knownFrames = times.length ? times.length - 1 : frames;
    this.videos = [];
    this.onTime = () => {};
    this.loop = true;
    this.rate = 1;
    this.wanted = 0;  // seconds; where a paused player stands, whether its clips are there yet or not
    this.running = false;
    this.starts = 0;
    this.tick = this.tick.bind(this);
  }

  get lead() { return this.videos[0]; }
  get time() { return this.running && this.lead ? this.lead.currentTime : this.wanted; }
  get duration() { return this.lead && Number.isFinite(this.lead.duration) ? this.lead.duration : 0; }
  get frames() { return this.knownFrames || Math.max(1, Math.round(this.duration * this.fps)); }
  get frame() { return Math.max(0, Math.min(this.frames - 1, this.frameAt(this.time))); }

  frameAt(time) {
    if (!this.times.length) return Math.floor(time * this.fps + 1e-3);
    return this.times.findLastIndex((start) => start <= time + 1e-3 / this.fps);
  }

  /** Seconds that a frame is shown. */
  lasting(frame) { return this.times.length ? this.times[frame + 1] - this.times[frame] : 1 / this.fps; }

  /** Show these clips from now on, at the moment that the last ones had. */
  use(videos) {
    const playing = this.running;
    this.stop();
    this.videos = videos;
    for (const video of videos) {
      video.addEventListener("loadedmetadata", () => { video.currentTime = this.inside(this.wanted, video); this.tell(); });
      video.addEventListener("seeked", () => this.tell());
      video.addEventListener("ended", () => { if (video === this.lead) this.ended(); });
      video.addEventListener("error", () => { this.videos = this.videos.filter((other) => other !== video); });
    }
    if (playing) this.play();
    this.tell();
  }

  /** Forget the clips, and free what they hold. */
  stop() {
    this.wanted = this.time;
    this.running = false;
    for (const video of this.videos) {
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
    this.videos = [];
  }

  play() {
    if (!this.lead || this.running) return;
    if (this.duration && this.frame >= this.frames - 1) this.seek(0);
    this.running = true;
    this.start();
    this.tell();
  }

  /** All at once, when all are ready. */
  async start() {
    const start = this.starts += 1;
    await Promise.all(this.videos.map(ready));
    if (!this.running || start !== this.starts) return;
    for (const video of this.videos) {
      video.playbackRate = this.rate;
      video.play().catch(() => {});
    }
    requestAnimationFrame(this.tick);
  }

  pause() {
    if (!this.running) return;
    const frame = this.frame;
    this.running = false;
    for (const video of this.videos) video.pause();
    this.toFrame(frame);
  }

  toggle() { if (this.running) this.pause(); else this.play(); }

  setRate(rate) {
    this.rate = rate;
    for (const video of this.videos) video.playbackRate = rate;
  }

  seek(time) {
    this.wanted = time;
    for (const video of this.videos) video.currentTime = this.inside(time, video);
    this.tell();
  }

  /** The middle of a frame: at its borders the neighbour may be shown. */
  toFrame(index) {
    const frame = Math.max(0, Math.min(index, this.frames - 1));
    this.seek(this.times.length ? this.times[frame] + this.lasting(frame) / 2 : (frame + 0.5) / this.fps);
  }

  step(count) {
    this.pause();
    this.toFrame(this.frame + count);
  }

  ended() {
    if (!this.running) return;
    if (!this.loop) { this.running = false; this.toFrame(this.frames - 1); return; }
    for (const video of this.videos) video.pause();
    this.seek(0);
    this.start();
  }

  inside(time, video) {
    const end = Number.isFinite(video.duration) ? video.duration : time;
    return Math.max(0, Math.min(time, end - 0.25 * Math.min(1 / this.fps, this.lasting(this.frames - 1))));
  }

  /** Clips that lag behind run faster for a moment: seeking would stop them. */
  tick() {
    if (!this.running || !this.lead) return;
    const time = this.lead.currentTime;
    for (const video of this.videos.slice(1)) {
      const ahead = video.currentTime - time;
      if (video.seeking || video.ended || time > video.duration - 0.5 / this.fps) continue;
      if (Math.abs(ahead) > 0.25) video.currentTime = this.inside(time, video);
      const rate = Math.abs(ahead) < 0.1 / this.fps ? this.rate : this.rate * Math.max(0.5, Math.min(2, 1 - 5 * ahead));
      if (Math.abs(video.playbackRate - rate) > 0.01 * this.rate) video.playbackRate = rate;
    }
    this.tell();
    requestAnimationFrame(this.tick);
  }

  tell() { this.onTime(this); }
}

/** Buttons and a bar for a player. */
function controlsOf(player) {
  const playing = button("Play", "Space", () => player.toggle());
  playing.classList.add("play");
  const back = button("◂", "One frame back: left arrow", () => player.step(-1));
  const on = button("▸", "One frame on: right arrow", () => player.step(1));
  const seek = element("input", { type: "range", className: "seek", min: 0, max: 0, step: 1, value: 0, "aria-label": "Frame" });
  const shown = element("output", {}, "");
  const speed = element("select", { "aria-label": "Speed" },
    ...[0.1, 0.25, 0.5, 1, 2].map((rate) => element("option", { value: rate, selected: rate === player.rate }, `${rate}×`)));
  const loop = element("input", { type: "checkbox", checked: player.loop });
  back.setAttribute("aria-label", "One frame back");
  on.setAttribute("aria-label", "One frame on");
  seek.addEventListener("input", () => { player.pause(); player.toFrame(Number(seek.value)); });
  speed.addEventListener("change", () => player.setRate(Number(speed.value)));
  loop.addEventListener("change", () => { player.loop = loop.checked; });
  player.onTime = () => {
    playing.textContent = player.running ? "Pause" : "Play";
    seek.max = player.frames - 1;
    seek.value = player.frame;
    shown.textContent = `frame ${player.frame + 1} of ${player.frames} · ${player.time.toFixed(2)} s`;
  };
  return element("div", { className: "controls" }, back, playing, on, seek, shown, speed, element("label", {}, loop, " loop"));
}

/** Space, arrows, Home and End, where the focused element does not use them itself. Says whether it took the key. */
function playerKeys(player, event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return false;
  const { tagName, type } = event.target;
  const range = tagName === "INPUT" && type === "range";
  if ((tagName === "INPUT" && !range) || tagName === "SELECT") return false;
  if (event.key === " " ? ["BUTTON", "SUMMARY"].includes(tagName) : range) return false;
  const actions = {
    " ": () => player.toggle(),
    ArrowLeft: () => player.step(-1),
    ArrowRight: () => player.step(1),
    Home: () => { player.pause(); player.toFrame(0); },
    End: () => { player.pause(); player.toFrame(player.frames - 1); },
  };
  if (!(event.key in actions)) return false;
  event.preventDefault();
  actions[event.key]();
  return true;
}
