// The list: the document holds only the rows on the screen, however long the list is.

const list = document.getElementById("list"), rows = document.getElementById("rows");
const MOST_PIXELS = 17.5e6, MANY = 60;
const view = {found: [], at: 0, image: 0, drawn: new Map(), more: new Map()};
const rowHeight = () => parseFloat(getComputedStyle(list).getPropertyValue("--row"));

function make(tag, options = {}, ...children) {
  const {on = {}, dataset = {}, ...rest} = options;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children);
  return element;
}

const previewOf = image => serving ? `preview/${image}?of=${data.mark}` : data.preview[image]
  ? `images/${data.digest[image].slice(0, 20)}-${data.previews}${["", "", "-small", "-raw", "-raw-small"][data.preview[image]]}.jpg`
  : originalOf(image);

// The URL of the file itself, where the page is on a disk and browsers turn the image as the run did; names that are not
// UTF-8 are stored in hex.
const SHOWN = new Set(["JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "AVIF"]);
function originalOf(image) {
  if (serving) return `original/${image}?of=${data.mark}`;
  const known = data.upright && SHOWN.has(data.formats[data.format[image]]);
  if (!known || location.protocol !== "file:" || !pathOf(image).startsWith("/")) return "";
  const odd = data.odd[image];
  return "file://" + (odd ? odd.replace(/../g, "%$&").replaceAll("%2f", "/") : pathOf(image).split("/").map(encodeURIComponent).join("/"));
}

function refresh(keep = false) {
  const before = view.found[view.at]?.images[0];
  view.found = listed();
  const least = Math.max(0, view.found.findIndex(cluster => cluster.images[0] === before));
  view.at = keep ? least : 0;
  view.image = 0;
  const height = Math.min(view.found.length * rowHeight(), MOST_PIXELS);
  rows.style.height = `${height}px`;
  for (const row of view.drawn.values()) row.remove();
  view.drawn.clear();
  const shownMost = Math.floor(MOST_PIXELS / rowHeight());
  document.getElementById("count").textContent = countText(shownMost);
  document.getElementById("going").textContent = removalText();
  document.getElementById("empty").hidden = view.found.length > 0;
  const top = list.getBoundingClientRect().top, bar = document.getElementById("bar").offsetHeight;
  if (!keep && top < 0) scrollBy(0, top - bar - 8);  // the new list begins further up
  draw();
}

function countText(shownMost) {
  const count = view.found.length, images = view.found.reduce((sum, cluster) => sum + cluster.images.length, 0);
  const more = count > shownMost ? `; the list shows the first ${grouped(shownMost)}, use filters for the others` : "";
  return `${grouped(count)} of ${counted(cut.clusters.length, "cluster")}, ${counted(images, "image")}${more}`;
}

function draw() {
  const height = rowHeight(), top = rows.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(-top / height) - 2);
  const last = Math.min(view.found.length, Math.ceil((innerHeight - top) / height) + 2, Math.floor(MOST_PIXELS / height));
  for (const [place, row] of view.drawn) {
    if (place < first || place >= last) { row.remove(); view.drawn.delete(place); }
  }
  for (let place = first; place < last; place++) {
    if (view.drawn.has(place)) continue;
    const row = drawCluster(view.found[place], place);
    row.style.transform = `translateY(${place * height}px)`;
    view.drawn.set(place, row);
    const next = [...view.drawn.keys()].filter(each => each > place).sort((x, y) => x - y)[0];
    rows.insertBefore(row, view.drawn.get(next) ?? null);  // keeps the order of Tab equal to the visible order
  }
}

function redraw(place) {
  const old = view.drawn.get(place);
  if (!old) return;
  const row = drawCluster(view.found[place], place), scrolled = old.querySelector(".images").scrollLeft;
  const focused = [...old.querySelectorAll("button")].indexOf(document.activeElement);
  row.style.transform = old.style.transform;
  old.replaceWith(row);
  row.querySelectorAll("button")[focused]?.focus({preventScroll: true});
  row.querySelector(".images").scrollLeft = scrolled;
  view.drawn.set(place, row);
}

const STATES = {open: "", chosen: "chosen by you", skipped: "skipped", dismissed: "not duplicates"};
function drawCluster(cluster, place) {
  const images = cluster.images.slice(0, view.more.get(cluster.images[0]) ?? MANY), state = stateOf(cluster);
  const rest = cluster.images.length - images.length, keeper = keeperOf(cluster), why = reasonOf(keeper);
  const head = make("h3", {},
    `Cluster ${cluster.number} `,
    make("small", {}, `${counted(cluster.images.length, "image")} · distance ${humanFigure(cluster.joined)} · `
      + `${humanBytes(bytesOf(going(cluster)))} to remove`),
    make("small", {className: "state"}, STATES[state]),
    make("small", {className: "why", title: why}, why && `keeper: ${why}`),
    make("span", {className: "acts"},
      button("skip, keep all", "s", () => toggleSkip(place), state === "skipped"),
      button("not duplicates", "d", () => toggleDismissed(place), state === "dismissed")));
  const items = images.map((image, n) => drawImage(keeper, place, image, n));
  if (rest) {
    items.push(make("li", {className: "more"}, make("button", {type: "button", on: {click: () => {
      view.more.set(cluster.images[0], images.length + 10 * MANY);
      redraw(place);
    }}}, `… ${grouped(rest)} more`)));
  }
  const row = make("article", {className: `card ${state}${place === view.at ? " at" : ""}`, dataset: {place}},
    head, make("ul", {className: "images"}, ...items));
  row.setAttribute("aria-posinset", String(place + 1));
  row.setAttribute("aria-setsize", String(view.found.length));
  if (place === view.at) row.setAttribute("aria-current", "true");
  return row;
}

const button = (text, key, click, pressed) => {
  const made = make("button", {type: "button", title: `${text} (${key})`, on: {click}}, text);
  made.setAttribute("aria-pressed", String(pressed));
  return made;
};

function drawImage(keeper, place, image, n) {
  const kept = stays(image, keeper), name = plain(data.name[image]);
  const folder = plain(data.folders[data.folder[image]]);
  const shown = make("img", {alt: "", loading: "lazy", decoding: "async", src: previewOf(image)});
  shown.addEventListener("error", () => shown.parentElement?.classList.add("gone"), {once: true});
  const look = make("button", {type: "button", className: "look", title: "compare (Enter)",
    on: {click: () => { go(place, n); openCompare(); }}}, shown);
  look.setAttribute("aria-label", `compare ${name}`);
  const choose = make("button", {type: "button", className: "choose", on: {click: () => toggleStays(place, n)}},
    image === keeper ? "★ keeper" : kept ? "keep" : "remove");
  choose.title = data.reference[image] ? "always kept: in a reference folder" : "keep or remove (x); keep only this (k)";
  choose.disabled = data.reference[image] === 1;
  choose.setAttribute("aria-pressed", String(kept));
  return make("li", {className: `${kept ? "stays" : "goes"}${image === keeper ? " keeper" : ""}`
    + `${place === view.at && n === view.image ? " at" : ""}`},
  look, choose, make("span", {className: "mse"}, distanceTo(keeper, image)),
  make("span", {className: "path", title: plain(pathOf(image))},
    make("bdi", {className: "folder"}, `${folder}/`), make("bdi", {}, name)),
  make("span", {className: "facts", title: allFactsOf(image)}, factsOf(image)));
}

// The distance to the run's keeper is known; for another keeper, only whether the files are identical.
function distanceTo(keeper, image) {
  if (image === keeper) return "";
  const turn = turnBetween(keeper, image), proposed = starts[whole[image]];
  const same = data.digest[image] === data.digest[keeper];
  const text = same ? "same file" : keeper === proposed ? `MSE ${humanMse(data.mse[image])}`
    : image === proposed ? `MSE ${humanMse(data.mse[keeper])}` : "";
  return text + (turn ? ` ↺${turn}°` : "");
}
const turnBetween = (to, image) => (data.turn[image] - data.turn[to] + 4) % 4 * 90;
const factsOf = (image, date = (data.taken[image] || writtenOn(image)).slice(0, 10)) => [
  `${data.width[image]}×${data.height[image]}`, humanBytes(data.bytes[image]), date, data.formats[data.format[image]],
].filter(Boolean).join(" · ");
const allFactsOf = image => factsOf(image, [data.taken[image] && `taken ${data.taken[image]}`,
  written[image] && `written ${writtenOn(image)}`].filter(Boolean).join(" · "));

// Move to a cluster that may be elsewhere in the list, or not in the list at all.
function visit(place, image) {
  if (place < 0) return;
  go(place, view.found[place].images.indexOf(image));
}

// Move to a cluster, and to an image of the cluster.
function go(place, image = 0) {
  if (!view.found.length) return;
  const before = view.at;
  view.at = Math.max(0, Math.min(view.found.length - 1, place));
  view.image = Math.max(0, Math.min(view.found[view.at].images.length - 1, image));
  const top = rows.getBoundingClientRect().top + view.at * rowHeight(), bar = document.getElementById("bar").offsetHeight;
  if (top < bar) scrollBy(0, top - bar - 8);
  else if (top + rowHeight() > innerHeight) scrollBy(0, top + rowHeight() - innerHeight + 8);
  draw();
  redraw(before);
  redraw(view.at);
  view.drawn.get(view.at)?.querySelector("li.at")?.scrollIntoView({block: "nearest", inline: "nearest"});
}
