/** Blind votes: two variants of a video, nobody says which is which. */
const ballot = document.getElementById("ballot");
const storageKey = `auto-refine votes ${location.pathname} ${page.title}`;
let ballotPlayer = null;
let votes = storedVotes();

function storedVotes() {
  try { return JSON.parse(localStorage.getItem(storageKey)) || []; } catch { return []; }
}

function storeVotes() {
  try { localStorage.setItem(storageKey, JSON.stringify(votes)); } catch { /* without storage they last as long as the page */ }
}

const pairKey = (name, one, other) => JSON.stringify([name, ...[one, other].sort()]);

/** All pairs of variants of each video that differ and have no vote yet, in random order and on random sides. */
function openPairs() {
  const known = new Set(votes.map((vote) => pairKey(vote.video, vote.left, vote.right)));
  const pairs = [];
  for (const video of page.videos) {
    const results = video.results.filter((result) => result.url && !result.sameAs);
    results.forEach((one, index) => results.slice(index + 1).forEach((other) => {
      const [left, right] = Math.random() < 0.5 ? [one, other] : [other, one];
      if (!known.has(pairKey(video.name, one.variant, other.variant))) pairs.push({ video, left, right });
    }));
  }
  for (let index = pairs.length - 1; index > 0; index -= 1) {
    const other = Math.floor(Math.random() * (index + 1));
    [pairs[index], pairs[other]] = [pairs[other], pairs[index]];
  }
  return pairs;
}

function saveVotes(voter) {
  const content = { schema_version: 1, study: page.title, voter, votes };
  const url = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2)], { type: "application/json" }));
  const name = voter.replace(/[^\p{L}\p{N}-]+/gu, "_");
  element("a", { href: url, download: name ? `votes-${name}.json` : "votes.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function openBallot() {
  let pairs = openPairs();
  const progress = element("p", { className: "soft", id: "progress", role: "status" });
  const voter = element("input", { placeholder: "your name", "aria-label": "Your name", size: 14 });
  const place = element("div", {});
  const showPair = () => {
    stopBallot();
    progress.textContent = `${votes.length} of ${votes.length + pairs.length} pairs voted on`;
    undo.disabled = forget.disabled = save.disabled = votes.length === 0;
    place.replaceChildren(pairs.length ? pairOf(pairs[0], choose) : element("p", {}, "That was the last pair. Thank you: now save the votes to a file."));
  };
  const choose = (choice) => {
    const pair = pairs.shift();
    if (!pair) return;
    votes.push({ video: pair.video.name, left: pair.left.variant, right: pair.right.variant, choice, at: new Date().toISOString() });
    storeVotes();
    showPair();
  };
  const takeBack = (count) => {
    votes.splice(-count, count);
    storeVotes();
    pairs = openPairs();
    showPair();
  };
  const save = button("Save votes to a file", "", () => saveVotes(voter.value.trim()));
  const undo = button("Undo the last", "Backspace", () => takeBack(1));
  const forget = button("Forget all", "", () => { if (confirm(`Forget ${votes.length} votes?`)) takeBack(votes.length); });
  ballot.choose = choose;
  ballot.undo = () => undo.click();
  ballot.replaceChildren(
    element("div", { className: "bar" }, element("h2", { id: "ballot-title" }, "Which one is better?"), undo, forget, voter, save,
      button("Close", "Escape", () => ballot.close())),
    progress, place);
  if (!ballot.open) ballot.showModal();
  ballot.focus();
  showPair();
}

function pairOf(pair, choose) {
  const player = ballotPlayer = new Player(pair.video);
  const sides = [pair.left, pair.right].map((result) => clipVideo(result.url));
  const voteFor = (label, choice) => {
    const made = button(label, "", () => { ballot.focus(); choose(choice); });
    made.dataset.choice = choice;
    return made;
  };
  const side = (label, video, choice, key) => element("figure", {}, element("figcaption", {}, label), video, voteFor(`${label} is better (${key})`, choice));
  const controls = controlsOf(player);
  player.use(sides);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) player.play();
  return element("div", {},
    element("div", { className: "pair" }, side("A", sides[0], "left", 1), side("B", sides[1], "right", 2), voteFor("No difference (0)", "tie")),
    controls, removedOf(pair.video));
}

/** What the result should be without, on demand. */
function removedOf(video) {
  const clips = video.clips.slice(0, 2);
  if (!clips.length) return null;
  const details = element("details", { className: "removed" }, element("summary", {}, "What was removed"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector("video")) return;
    details.append(element("div", { className: "pair" }, ...clips.map((clip) => element("figure", {}, element("figcaption", {}, clip.label),
      element("video", { src: clip.url, controls: true, muted: true, loop: true, playsInline: true })))));
  });
  return details;
}

function stopBallot() {
  ballotPlayer?.stop();
  ballotPlayer = null;
}

ballot.addEventListener("close", () => { stopBallot(); ballot.replaceChildren(); });
ballot.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" && event.target.type === "text") return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const choice = { 1: "left", 2: "right", 0: "tie" }[event.key];
  if (choice && !event.repeat) ballot.choose(choice);
  else if (event.key === "Backspace") ballot.undo();
  else if (ballotPlayer) playerKeys(ballotPlayer, event);
});
document.getElementById("vote")?.addEventListener("click", openBallot);
