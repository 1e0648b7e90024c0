"use strict";

/** Small helpers that the other scripts share. */
const page = JSON.parse(document.getElementById("data").textContent);

function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.includes("-") || name === "for" || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function shownNumber(value) {
  if (value === undefined || value === null) return "–";
  return Math.abs(value) >= 10 ? value.toFixed(2) : value.toFixed(3);
}

/** Several clips of one length under one clock: the first one leads, the others are kept within half a frame of it. */
class Player {
  constructor(fps) {
    this.fps = fps;
    this.videos = [];
    this.onTime = () => {};
    this.loop = true;
    this.rate = 1;
    this.wanted = 0;
    this.running = false;
    this.tick = this.tick.bind(this);
  }

  /** Show these clips from now on, at the moment that the last ones had. */
  use(videos) {
    const time = this.lead ? this.time : 0;
    const playing = this.running;
    this.stop();
    this.videos = videos;
    this.wanted = time;
    for (const video of videos) {
      video.muted = true;
      video.playsInline = true;
      video.addEventListener("loadedmetadata", () => { video.currentTime = this.inside(this.wanted, video); });
      video.addEventListener("seeked", () => this.tell());
    }
    if (this.lead) {
      this.lead.addEventListener("ended", () => this.ended());
      this.lead.addEventListener("loadedmetadata", () => this.tell());
    }
    if (playing) this.play();
    this.tell();
  }

  get lead() { return this.videos[0]; }
  get time() { return this.running && this.lead ? this.lead.currentTime : this.wanted; }
  get duration() { return this.lead && Number.isFinite(this.lead.duration) ? this.lead.duration : 0; }
  get frames() { return Math.max(1, Math.round(this.duration * this.fps)); }
  get frame() { return Math.min(this.frames - 1, Math.floor(this.time * this.fps + 1e-3)); }

  inside(time, video) {
    const end = Number.isFinite(video.duration) ? video.duration : time;
    return Math.max(0, Math.min(time, end - 0.25 / this.fps));
  }

  play() {
    if (!this.lead || this.running) return;
    if (this.wanted >= this.duration - 1 / this.fps && this.duration) this.seek(0);
    this.running = true;
    for (const video of this.videos) {
      video.playbackRate = this.rate;
      video.play().catch(() => {});
    }
    requestAnimationFrame(this.tick);
    this.tell();
  }

  pause() {
    if (!this.running) return;
    const frame = this.frame;
    this.running = false;
    for (const video of this.videos) video.pause();
    this.toFrame(frame);
  }

  toggle() { if (this.running) this.pause(); else this.play(); }

  /** Forget the clips. */
  stop() {
    if (this.running) this.wanted = this.lead.currentTime;
    this.running = false;
    for (const video of this.videos) {
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
    this.videos = [];
  }

  setRate(rate) {
    this.rate = rate;
    for (const video of this.videos) video.playbackRate = rate;
  }

  seek(time) {
    this.wanted = time;
    for (const video of this.videos) video.currentTime = this.inside(time, video);
    this.tell();
  }

  /** The middle of a frame: its borders are in doubt. */
  toFrame(index) {
    const frame = Math.max(0, Math.min(index, this.frames - 1));
    this.seek((frame + 0.5) / this.fps);
  }

  step(count) {
    this.pause();
    this.toFrame(this.frame + count);
  }

  ended() {
    if (!this.running) return;
    if (!this.loop) { this.running = false; this.toFrame(this.frames - 1); return; }
    this.seek(0);
    for (const video of this.videos) video.play().catch(() => {});
  }

  tick() {
    if (!this.running) return;
    const time = this.lead.currentTime;
    for (const video of this.videos.slice(1)) {
      if (Math.abs(video.currentTime - time) > 0.5 / this.fps && !video.seeking) video.currentTime = this.inside(time, video);
      if (video.paused && !video.ended) video.play().catch(() => {});
    }
    this.tell();
    requestAnimationFrame(this.tick);
  }

  tell() { this.onTime(this); }
}

/** Buttons and a bar for a player; keys: space, arrows, Home, End. */
function controlsOf(player) {
  const playing = element("button", { type: "button", className: "play" }, "Play");
  const back = element("button", { type: "button", title: "One frame back (left arrow)", "aria-label": "One frame back" }, "◂");
  const on = element("button", { type: "button", title: "One frame on (right arrow)", "aria-label": "One frame on" }, "▸");
  const seek = element("input", { type: "range", className: "seek", min: 0, max: 0, step: 1, value: 0, "aria-label": "Frame" });
  const shown = element("output", {}, "");
  const speed = element("select", { "aria-label": "Speed" },
    ...[0.1, 0.25, 0.5, 1, 2].map((rate) => element("option", { value: rate, selected: rate === 1 }, `${rate}×`)));
  const loop = element("input", { type: "checkbox", checked: player.loop });
  playing.addEventListener("click", () => player.toggle());
  back.addEventListener("click", () => player.step(-1));
  on.addEventListener("click", () => player.step(1));
  seek.addEventListener("input", () => { player.pause(); player.toFrame(Number(seek.value)); });
  speed.addEventListener("change", () => player.setRate(Number(speed.value)));
  loop.addEventListener("change", () => { player.loop = loop.checked; });
  player.onTime = () => {
    playing.textContent = player.running ? "Pause" : "Play";
    seek.max = player.frames - 1;
    seek.value = player.frame;
    shown.textContent = `frame ${player.frame} of ${player.frames} · ${player.time.toFixed(2)} s`;
  };
  return element("div", { className: "controls" }, back, playing, on, seek, shown, speed, element("label", {}, loop, " loop"));
}

function playerKeys(player, event) {
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  const actions = {
    " ": () => player.toggle(),
    ArrowLeft: () => player.step(-1),
    ArrowRight: () => player.step(1),
    Home: () => { player.pause(); player.toFrame(0); },
    End: () => { player.pause(); player.toFrame(player.frames - 1); },
  };
  const onButton = event.target.tagName === "BUTTON" && event.key === " ";
  if (typing || onButton || event.altKey || event.ctrlKey || event.metaKey || !(event.key in actions)) return false;
  event.preventDefault();
  actions[event.key]();
  return true;
}
