// Review mode: one cluster at a time, large, by keyboard alone.

const deck = {list: [], at: 0, image: 0, dialog: document.getElementById("deck")};
const FEW = 6;  // review mode shows the originals of clusters with at most FEW images

const isReviewed = cluster => cluster.images.every(image => reviewed.has(image));
const placeKey = `${storageKey}:at`;
let placeTimer = 0;
function keepPlace(image) {
  clearTimeout(placeTimer);
  placeTimer = setTimeout(() => {
    if (serving) ask("move", {image}).catch(() => {});
    else try { localStorage.setItem(placeKey, String(image)); } catch { /* not kept */ }
  }, 400);
}
function lastPlace() {
  if (serving) return server.at;
  try { return Number(localStorage.getItem(placeKey) ?? -1); } catch { return -1; }
}

// Open at a cluster of the list: by default at the last visited cluster, else at the first cluster without a decision.
function openDeck(place = -1) {
  if (!view.found.length) return;
  deck.list = view.found.slice();
  const last = lastPlace(), was = deck.list.findIndex(({images}) => images.includes(last));
  const open = deck.list.findIndex(cluster => !isReviewed(cluster));
  deck.at = [place, was, open, 0].find(each => each >= 0);
  deck.image = 0;
  deck.dialog.showModal();
  say("");
  drawDeck();
  byId("deck-images").focus();
}

function turnTo(at) {
  deck.at = Math.max(0, Math.min(deck.list.length - 1, at));
  deck.image = 0;
  keepPlace(deck.list[deck.at].images[0]);
  drawDeck();
}
function visitDeck(image) {
  if (!deck.dialog.open) return;
  const at = deck.list.findIndex(({images}) => images.includes(image));
  if (at >= 0) turnTo(at);
}

// Decide on the cluster, mark the cluster as reviewed, and go on.
function settle(label, changes) {
  const cluster = deck.list[deck.at], {images} = cluster;
  const pairs = images.length <= MOST_DISMISSED ? pairsOf(images) : [];
  const fresh = [...images.map(image => ["skipped", image, false]), ...pairs.map(pair => ["dismissed", pair, false])];
  const last = new Map([...fresh, ...changes, ...images.map(image => ["reviewed", image, true])].map(each => [`${each[0]} ${each[1]}`, each]));
  decide(`${label}, cluster ${cluster.number}`, [...last.values()]);
  say("");
  const place = view.found.indexOf(cluster);
  if (place >= 0) redraw(place);
  byId("going").textContent = removalText();
  steps();
  if (deck.at + 1 < deck.list.length) turnTo(deck.at + 1);
  else { drawDeck(); say("this was the last cluster of the list"); }
}
const present = () => deck.list[deck.at];
const only = image => choices(present(), each => data.reference[each] === 1 || each === image);
const decks = {
  keep: (n = deck.image) => {
    const image = present().images[n];
    if (image === undefined || gone.has(image)) return;
    settle(`keep only ${plain(data.name[image])}`, only(image));
  },
  both: () => settle("keep all", choices(present(), () => true)),
  best: () => settle("keep only the best", only(keeperOf(present()))),
  apart: () => {
    if (present().images.length > MOST_DISMISSED) return say(`too many pairs for this page; run fast-diff dismiss RUN --cluster ${present().number} --file FILE`);
    settle("not duplicates", pairsOf(present().images).map(pair => ["dismissed", pair, true]));
  },
  skip: () => settle("skip", present().images.map(image => ["skipped", image, true])),
};
function mark(by) {
  const count = present().images.length;
  deck.image = (deck.image + by + count) % count;
  drawDeck();
}
function compareDeck() {
  const place = view.found.indexOf(present());
  if (place < 0) return;
  go(place, deck.image);
  openCompare();
}
const deckKeys = {
  ArrowRight: () => turnTo(deck.at + 1), j: () => turnTo(deck.at + 1), n: () => turnTo(deck.at + 1),
  ArrowLeft: () => turnTo(deck.at - 1), i: () => turnTo(deck.at - 1), p: () => turnTo(deck.at - 1),
  ArrowDown: () => mark(1), ArrowUp: () => mark(-1), k: () => decks.keep(), b: decks.both, a: decks.best, Enter: decks.best,
  d: decks.apart, s: decks.skip, u: () => travel("undo"), r: () => travel("redo"), m: compareDeck, "?": () => byId("help").showModal(),
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map(n => [n, () => decks.keep(n - 1)])),
};

function drawDeck() {
  if (!deck.dialog.open) return;
  const cluster = present(), keeper = keeperOf(cluster), state = stateOf(cluster);
  const done = deck.list.filter(isReviewed).length;
  byId("deck-done").textContent = `${grouped(done)} of ${grouped(deck.list.length)} reviewed`;
  byId("deck-meter").max = deck.list.length;
  byId("deck-meter").value = done;
  byId("deck-head").textContent = `Cluster ${cluster.number}`;
  byId("deck-about").textContent = [`${grouped(deck.at + 1)} of ${grouped(deck.list.length)}`, counted(cluster.images.length, "image"),
    `distance ${humanFigure(cluster.joined)}`, `${humanBytes(bytesOf(going(cluster)))} to remove`,
    isReviewed(cluster) ? "reviewed" : "", STATES[state]].filter(Boolean).join(" · ");
  const box = byId("deck-images");
  box.classList.toggle("many", cluster.images.length > 2);
  box.replaceChildren(...cluster.images.slice(0, 10 * MANY).map((image, n) => drawLarge(cluster, keeper, image, n)));
  box.children[deck.image]?.scrollIntoView({block: "nearest"});
  const next = deck.list[deck.at + 1];
  if (next && next.images.length <= FEW) for (const image of next.images) fill(new Image(), image, serving);
}

function drawLarge(cluster, keeper, image, n) {
  const kept = stays(image, keeper), name = plain(data.name[image]), away = gone.has(image);
  const shown = make("img", {alt: name, decoding: "async"});
  const box = make("div", {className: "box"}, shown);
  fill(shown, image, cluster.images.length <= FEW);
  const keep = make("button", {type: "button", disabled: away, on: {click: () => decks.keep(n)}}, n < 9 ? `keep this (${n + 1})` : "keep this");
  keep.setAttribute("aria-label", `keep only ${name}`);
  const badge = make("span", {className: "badge verdict"}, away ? "removed" : contained.has(image) ? "container" : data.reference[image] ? "reference" : kept ? "keep" : "remove");
  return make("figure", {className: `${kept ? "stays" : "goes"}${n === deck.image ? " at" : ""}`, on: {click: () => { deck.image = n; drawDeck(); }}}, box,
    make("figcaption", {}, make("span", {className: "line"}, badge, setBadge(image), keep, make("span", {className: "mse"}, distanceTo(keeper, image))),
      make("bdi", {className: "name"}, name), make("bdi", {className: "folder", title: plain(pathOf(image))}, plain(folderShown(cluster, image))),
      make("span", {className: "why"}, noteOf(cluster, keeper, image)), make("span", {className: "facts"}, allFactsOf(image))));
}

function connectDeck() {
  byId("open-deck").addEventListener("click", () => openDeck());
  for (const [id, act] of Object.entries({"deck-previous": deckKeys.p, "deck-next": deckKeys.n, "deck-best": decks.best, "deck-both": decks.both,
    "deck-apart": decks.apart, "deck-skip": decks.skip, "deck-compare": compareDeck, "deck-undo": deckKeys.u, "deck-redo": deckKeys.r})) {
    byId(id).addEventListener("click", () => act());
  }
  deck.dialog.addEventListener("close", () => {
    const place = view.found.indexOf(deck.list[deck.at]);
    if (place >= 0) go(place);
  });
}
