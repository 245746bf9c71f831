// The list: a grid of clusters. The document holds only the clusters on the screen, however long the list is.

const list = document.getElementById("list"), rows = document.getElementById("rows");
const MOST_PIXELS = 17.5e6, GAP = 10, TEXT = 194;
const view = {found: [], at: 0, image: 0, drawn: new Map(), more: new Map(), selected: new Set(),
  columns: 1, width: 0, row: 1};  // selected: the first image of each selected cluster

const byId = id => document.getElementById(id);
function make(tag, options = {}, ...children) {
  const {on = {}, dataset = {}, aria = {}, ...rest} = options;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(name === "role" ? name : `aria-${name}`, String(value));
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children);
  return element;
}

// A row holds several clusters. The card of a cluster holds two tiles side by side, and scrolls if there are more images.
function measure() {
  const tile = Number(byId("tile").value), width = list.clientWidth, card = Math.min(width, 2 * tile + 38);
  view.columns = Math.max(1, Math.floor((width + GAP) / (card + GAP)));
  view.width = Math.floor((width - GAP * (view.columns - 1)) / view.columns);
  view.row = Math.round(0.66 * tile) + TEXT + GAP;
  list.style.setProperty("--tile", `${view.columns === 1 ? Math.min(tile, Math.floor((width - 38) / 2)) : tile}px`);
  list.style.setProperty("--picture", `${Math.round(0.66 * tile)}px`);
  list.style.setProperty("--card", `${view.width}px`);
  list.style.setProperty("--row", `${view.row - GAP}px`);
}
const rowOf = place => Math.floor(place / view.columns);
const most = () => Math.floor(MOST_PIXELS / view.row) * view.columns;

function refresh(keep = false) {
  const before = view.found[view.at]?.images[0];
  view.found = listed();
  const least = Math.max(0, view.found.findIndex(cluster => cluster.images[0] === before));
  view.at = keep ? least : 0;
  if (!keep) view.image = 0;
  measure();
  rows.style.height = `${Math.min(Math.ceil(view.found.length / view.columns) * view.row, MOST_PIXELS)}px`;
  for (const row of view.drawn.values()) row.remove();
  view.drawn.clear();
  byId("count").textContent = countText();
  byId("going").textContent = removalText();
  byId("empty").hidden = view.found.length > 0;
  const top = list.getBoundingClientRect().top, bar = barHeight();
  if (!keep && top < 0) scrollBy(0, top - bar - 8);  // the new list begins further up
  draw();
  drawDeck();
}
const barHeight = () => getComputedStyle(byId("bar")).position === "sticky" ? byId("bar").offsetHeight : 0;

function countText() {
  const count = view.found.length, images = view.found.reduce((sum, cluster) => sum + cluster.images.length, 0);
  const more = count > most() ? `; the list shows the first ${grouped(most())}: filter to see other clusters` : "";
  return `${grouped(count)} of ${counted(cut.clusters.length, "cluster")}, ${counted(images, "image")}${more}`;
}

function draw() {
  const top = rows.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(-top / view.row) - 1) * view.columns;
  const last = Math.min(view.found.length, (Math.ceil((innerHeight - top) / view.row) + 1) * view.columns, most());
  for (const [place, row] of view.drawn) {
    if (place < first || place >= last) { row.remove(); view.drawn.delete(place); }
  }
  for (let place = first; place < last; place++) {
    if (view.drawn.has(place)) continue;
    const row = drawCluster(view.found[place], place);
    placed(row, place);
    view.drawn.set(place, row);
    const next = [...view.drawn.keys()].filter(each => each > place).sort((x, y) => x - y)[0];
    rows.insertBefore(row, view.drawn.get(next) ?? null);  // keeps the order of Tab equal to the visible order
  }
}
function placed(row, place) {
  const x = (place % view.columns) * (view.width + GAP), y = rowOf(place) * view.row;
  row.style.transform = `translate(${x}px, ${y}px)`;
}

function redraw(place) {
  const old = view.drawn.get(place);
  if (!old) return;
  const row = drawCluster(view.found[place], place), scrolled = old.querySelector(".images").scrollLeft;
  const focused = [...old.querySelectorAll("button, input")].indexOf(document.activeElement);
  placed(row, place);
  old.replaceWith(row);
  row.querySelectorAll("button, input")[focused]?.focus({preventScroll: true});
  row.querySelector(".images").scrollLeft = scrolled;
  view.drawn.set(place, row);
}

// Move to an image of the cluster at `place`; do nothing if the cluster is not in the list (-1).
function visit(place, image) {
  if (place < 0) return;
  go(place, Math.max(0, view.found[place].images.indexOf(image)));
  visitDeck(image);
}

// Move to a cluster, and to an image of the cluster.
function go(place, image = 0) {
  if (!view.found.length) return;
  const before = view.at;
  view.at = Math.max(0, Math.min(view.found.length - 1, place));
  view.image = Math.max(0, Math.min(view.found[view.at].images.length - 1, image));
  const top = rows.getBoundingClientRect().top + rowOf(view.at) * view.row, bar = barHeight();
  if (top < bar) scrollBy(0, top - bar - 8);
  else if (top + view.row > innerHeight) scrollBy(0, top + view.row - innerHeight + 8);
  draw();
  redraw(before);
  redraw(view.at);
  const item = view.drawn.get(view.at)?.querySelector("li.at"), box = item?.parentElement;
  if (item) box.scrollLeft = Math.max(item.offsetLeft + item.offsetWidth - box.clientWidth, Math.min(box.scrollLeft, item.offsetLeft));
}

function toggleSelected(place) {
  const first = view.found[place]?.images[0];
  if (first === undefined) return;
  view.selected[view.selected.has(first) ? "delete" : "add"](first);
  redraw(place);
}
