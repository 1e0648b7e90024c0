/** Blind votes: two variants of a video, nobody says which is which. */
const ballot = document.getElementById("ballot");
const memory = `auto-refine votes ${page.title}`;
let ballotPlayer = null;

function storedVotes() {
  try { return JSON.parse(localStorage.getItem(memory)) || []; } catch { return []; }
}

function storeVotes(votes) {
  try { localStorage.setItem(memory, JSON.stringify(votes)); } catch { /* a page without storage keeps them until it is closed */ }
}

/** All pairs of variants of each video that differ and have not been voted on, in random order and on random sides. */
function openPairs(votes) {
  const key = (name, one, other) => [name, ...[one, other].sort()].join("\n");
  const known = new Set(votes.map((vote) => key(vote.video, vote.left, vote.right)));
  const pairs = [];
  for (const video of page.videos) {
    const results = video.results.filter((result) => result.url && !result.sameAs);
    results.forEach((one, index) => results.slice(index + 1).forEach((other) => {
      if (!known.has(key(video.name, one.variant, other.variant))) {
        pairs.push(Math.random() < 0.5 ? { video, left: one, right: other } : { video, left: other, right: one });
      }
    }));
  }
  for (let index = pairs.length - 1; index > 0; index -= 1) {
    const other = Math.floor(Math.random() * (index + 1));
    [pairs[index], pairs[other]] = [pairs[other], pairs[index]];
  }
  return pairs;
}

function saveVotes(votes, voter) {
  const content = { schema_version: 1, study: page.title, voter, votes };
  const url = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2)], { type: "application/json" }));
  const anchor = element("a", { href: url, download: voter ? `votes-${voter.replace(/[^\w-]+/g, "_")}.json` : "votes.json" });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function openBallot() {
  const votes = storedVotes();
  const pairs = openPairs(votes);
  const total = votes.length + pairs.length;
  const progress = element("span", { className: "soft", id: "progress" });
  const voter = element("input", { placeholder: "your name", "aria-label": "Your name", size: 14 });
  const save = element("button", { type: "button" }, "Save votes to a file");
  const forget = element("button", { type: "button" }, "Forget all votes");
  const close = element("button", { type: "button" }, "Close");
  const place = element("div", {});
  const choose = (choice) => {
    const pair = pairs.shift();
    if (!pair) return;
    votes.push({ video: pair.video.name, left: pair.left.variant, right: pair.right.variant, choice, at: new Date().toISOString() });
    storeVotes(votes);
    showPair();
  };
  const showPair = () => {
    stopBallot();
    progress.textContent = `${votes.length} of ${total} pairs voted on`;
    place.replaceChildren(pairs.length ? pairOf(pairs[0], choose) : element("p", {}, "That was the last pair. Thank you: save the votes to a file."));
  };
  save.addEventListener("click", () => saveVotes(votes, voter.value.trim()));
  forget.addEventListener("click", () => { if (confirm(`Forget ${votes.length} votes?`)) { storeVotes([]); openBallot(); } });
  close.addEventListener("click", () => ballot.close());
  ballot.choose = choose;
  ballot.replaceChildren(
    element("div", { className: "bar" }, element("h2", { id: "ballot-title" }, "Which one is better?"), progress, voter, save, forget, close),
    place);
  if (!ballot.open) ballot.showModal();
  showPair();
}

function pairOf(pair, choose) {
  const player = ballotPlayer = new Player(pair.video.fps);
  const sides = [pair.left, pair.right].map((result) => clipVideo({ url: result.url }));
  const controls = controlsOf(player);
  const button = (label, choice) => {
    const made = element("button", { type: "button" }, label);
    made.dataset.choice = choice;
    made.addEventListener("click", () => choose(choice));
    return made;
  };
  player.use(sides);
  player.play();
  const source = pair.video.clips.find((clip) => clip.label === "mask") || pair.video.clips[0];
  return element("div", {},
    element("div", { className: "pair" },
      element("figure", {}, element("figcaption", {}, "A"), sides[0], button("A is better (1)", "left")),
      element("figure", {}, element("figcaption", {}, "B"), sides[1], button("B is better (2)", "right"))),
    element("div", { className: "bar" }, button("No difference (0)", "tie")),
    controls,
    source ? element("details", {}, element("summary", {}, "What was removed"), element("video", { src: source.url, controls: true, muted: true, preload: "none", width: 480 })) : null);
}

function stopBallot() {
  if (ballotPlayer) ballotPlayer.stop();
  ballotPlayer = null;
}

ballot.addEventListener("close", () => { stopBallot(); ballot.replaceChildren(); });
ballot.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" && event.target.type !== "range") return;
  const choice = { 1: "left", 2: "right", 0: "tie" }[event.key];
  if (choice) { event.preventDefault(); ballot.choose(choice); return; }
  if (ballotPlayer) playerKeys(ballotPlayer, event);
});
document.getElementById("vote")?.addEventListener("click", openBallot);
