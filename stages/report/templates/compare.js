// Compare an image with its keeper: side by side, behind a curtain, blinking, or as a difference.

const dialog = document.getElementById("compare"), stage = document.getElementById("stage");
const compare = {mode: "side", timer: 0, keeper: 0, image: 0};
const MODES = ["side", "curtain", "blink", "difference"];
const slow = matchMedia("(prefers-reduced-motion: reduce)");

function openCompare() {
  const cluster = view.found[view.at];
  if (!cluster) return;
  const keeper = keeperOf(cluster);
  let image = cluster.images[view.image];
  if (image === keeper) {
    view.image = cluster.images.findIndex(each => each !== keeper);
    image = cluster.images[view.image];
  }
  const other = compare.keeper !== keeper || compare.image !== image || !dialog.open;
  if (!dialog.open) dialog.showModal();
  Object.assign(compare, {keeper, image});
  const shape = [data.width[keeper], data.height[keeper]], turn = turnBetween(keeper, image);
  const [left, right] = [keeper, image].map(each => [noteOf(cluster, keeper, each), each === image && distanceTo(keeper, image)]);
  if (other) {
    show(byId("left"), keeper, 0, shape);
    show(byId("right"), image, turn, turn % 2 ? shape.toReversed() : shape);
    resetZoom();
  }
  caption(byId("left"), keeper, left);
  caption(byId("right"), image, right);
  byId("who").textContent = [`Cluster ${cluster.number}: image ${view.image + 1} of ${cluster.images.length}`,
    plain(data.name[image]), distanceTo(keeper, image)].filter(Boolean).join(" · ");
  const goes = byId("goes-this"), kept = stays(image, keeper);
  goes.setAttribute("aria-checked", String(kept));
  goes.disabled = data.reference[image] === 1 || gone.has(image);
  setMode(compare.mode);
  drawTable(keeper, image);
}

// `shape`: the keeper's width and height. Both images are shown in this shape, as thumbnails are compared in one shape.
function show(figure, image, turn, [width, height]) {
  const shown = figure.querySelector("img");
  fill(shown, image, true);
  shown.alt = plain(data.name[image]);
  shown.style.setProperty("--wide", width / Math.max(width, height));
  shown.style.setProperty("--high", height / Math.max(width, height));
  shown.style.rotate = turn % 4 ? `${turn % 4 * -90}deg` : "";
  shown.style.scale = turn >= 4 ? "-1 1" : "";  // CSS scales first and then rotates
}

function caption(figure, image, said) {
  figure.querySelector(".path").textContent = plain(pathOf(image));
  figure.querySelector(".facts").textContent = [...said, allFactsOf(image)].filter(Boolean).join(" · ");
}

function setMode(mode) {
  compare.mode = mode;
  clearInterval(compare.timer);
  stage.className = mode;
  if (mode === "blink" && !slow.matches) compare.timer = setInterval(() => stage.classList.toggle("second"), 600);
  for (const each of dialog.querySelectorAll("[data-mode]")) each.setAttribute("aria-pressed", String(each.dataset.mode === mode));
  byId("gain-row").hidden = mode !== "difference";
  byId("curtain-row").hidden = mode !== "curtain";
}

// Set the gain of the difference: a power of two from 1 to 32.
function setGain(power) {
  const gain = 2 ** power;
  byId("gain").value = power;
  byId("gain-said").textContent = `×${gain}`;
  byId("gain").setAttribute("aria-valuetext", `times ${gain}`);
  stage.style.setProperty("--gain", gain);
}
function setCurtain(percent) {
  byId("curtain").value = percent;
  stage.style.setProperty("--curtain", `${percent}%`);
}
function nudge(by) {
  if (compare.mode === "difference") setGain(Math.max(0, Math.min(5, Number(byId("gain").value) + by)));
  if (compare.mode === "curtain") setCurtain(Math.max(0, Math.min(100, Number(byId("curtain").value) + 5 * by)));
}

function step(by) {
  const cluster = view.found[view.at], keeper = keeperOf(cluster), count = cluster.images.length;
  let image = view.image;
  do image = (image + by + count) % count; while (cluster.images[image] === keeper);
  go(view.at, image);
  openCompare();
}

const comparing = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), ...Object.fromEntries(MODES.map((mode, n) => [n + 1, () => setMode(mode)])),
  " ": () => stage.classList.toggle("second"), "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8), 0: resetZoom,
  f: zoomFull, "[": () => nudge(-1), "]": () => nudge(1), m: () => byId("table-of").click(),
  u: () => travel("undo"), r: () => travel("redo"),
  x: () => { toggleStays(view.at, view.image); openCompare(); },
  k: () => { keepAlone(view.at, view.image); openCompare(); },
};

function connectCompare() {
  byId("keep-this").addEventListener("click", () => comparing.k());
  byId("goes-this").addEventListener("click", () => comparing.x());
  for (const each of dialog.querySelectorAll("[data-mode]")) each.addEventListener("click", () => setMode(each.dataset.mode));
  for (const each of dialog.querySelectorAll("[data-step]")) each.addEventListener("click", () => step(Number(each.dataset.step)));
  byId("gain").addEventListener("input", event => setGain(Number(event.target.value)));
  byId("curtain").addEventListener("input", event => setCurtain(Number(event.target.value)));
  dialog.addEventListener("close", () => { clearInterval(compare.timer); drawDeck(); });
  setGain(2);
  setCurtain(50);
  connectZoom();
}
