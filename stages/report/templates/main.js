// Connect keys, filters and buttons to actions; keep the filters in the address.

const shortcuts = {
  j: () => go(view.at + 1), ArrowDown: () => go(view.at + view.columns),
  ArrowUp: () => go(view.at - view.columns), i: () => go(view.at - 1),
  ArrowLeft: () => go(view.at, view.image - 1), ArrowRight: () => go(view.at, view.image + 1),
  Enter: openCompare, x: () => toggleStays(view.at, view.image), k: () => keepAlone(view.at, view.image),
  u: () => travel("undo"), r: () => travel("redo"), c: () => forget(view.at), s: () => toggleSkip(view.at),
  d: () => toggleDismissed(view.at), f: () => openDeck(view.at), v: () => toggleSelected(view.at),
  "?": () => byId("help").showModal(), "/": () => byId("text").focus(),
};
const ANYWHERE = ["?", "/", "u", "r"];

document.addEventListener("keydown", event => {
  const typing = event.target.matches("input:not([type=range], [type=checkbox]), select, textarea")
    || (event.target.matches("input[type=range]") && (event.key.startsWith("Arrow") || event.key.length > 1));
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (["help", "act", "rules"].some(id => byId(id).open)) return;
  if (["Enter", " "].includes(event.key) && event.target.matches("button, a, summary, input")) return;
  const action = (dialog.open ? comparing : deck.dialog.open ? deckKeys : shortcuts)[event.key];
  if (!action || (!dialog.open && !deck.dialog.open && !ANYWHERE.includes(event.key) && !inSight())) return;
  event.preventDefault();
  action();
});

// Keys act on the list while a part of the list is visible; otherwise the browser handles keys.
function inSight() {
  const {top, bottom} = rows.getBoundingClientRect();
  return view.found.length > 0 && top < innerHeight && bottom > 0;
}

// Run an action at most once per frame.
function soon(action) {
  let waiting = 0;
  return () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => action());
  };
}
const drawSoon = soon(draw), refreshSoon = soon(() => { refresh(); keepFilters(); }), resizeSoon = soon(() => refresh(true));
addEventListener("scroll", drawSoon, {passive: true});
byId("filters").addEventListener("toggle", drawSoon);
let width = list.clientWidth;
addEventListener("resize", () => {
  if (list.clientWidth !== width) { width = list.clientWidth; resizeSoon(); }
  else drawSoon();
});

// ---- filters, by the id of their element: the effect of a value, and the value that filters nothing

// The threshold is a logarithmic scale over four powers of ten, and 0.
function thresholdOf(value) {
  const most = Number(byId("threshold").max);
  return value >= most ? data.limit : value <= 0 ? 0 : data.limit * 10 ** (4 * (value / most - 1));
}
const filters = {
  text: [value => { filter.text = value; }, ""],
  kind: [value => { filter.kind = value; }, ""],
  state: [value => { filter.state = value; }, ""],
  reviewed: [value => { filter.reviewed = value; }, ""],
  least: [value => { filter.least = Number(value) || 0; }, ""],
  most: [value => { filter.most = value === "" ? Infinity : Number(value); }, ""],
  size: [value => { filter.size = Math.max(2, Number(value) || 2); }, ""],
  threshold: [value => {
    const threshold = thresholdOf(Number(value));
    byId("threshold-said").textContent = humanFigure(threshold);
    byId("threshold").setAttribute("aria-valuetext", humanFigure(threshold));
    recut(threshold);
  }, byId("threshold").max],
  order: [value => { filter.order = value; }, "worth"],
};
for (const [id, [change]] of Object.entries(filters)) {
  byId(id).addEventListener("input", event => { change(event.target.value); refreshSoon(); });
}
byId("tile").addEventListener("input", () => { resizeSoon(); keepFilters(); });

function keepFilters() {
  const kept = new URLSearchParams();
  for (const [id, [, none]] of Object.entries(filters)) if (byId(id).value !== none) kept.set(id, byId(id).value);
  if (byId("tile").value !== byId("tile").defaultValue) kept.set("tile", byId("tile").value);
  const hash = kept.size ? `#${kept}` : "";
  if (hash !== location.hash && (hash || location.hash.includes("="))) history.replaceState(null, "", hash || location.pathname + location.search);
}
function recallFilters() {
  const kept = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  for (const [id, value] of kept) {
    if (id in filters || id === "tile") byId(id).value = value;
    filters[id]?.[0](byId(id).value);
  }
}
byId("clear").addEventListener("click", () => {
  for (const [id, [, none]] of Object.entries(filters)) {
    if (id === "order") continue;
    byId(id).value = none;
    byId(id).dispatchEvent(new Event("input"));
  }
  byId("text").focus();
});

addEventListener("storage", event => {  // a choice was made on this page in another tab
  if (event.key !== storageKey) return;
  for (const each of [choice, skipped, dismissed, reviewed]) each.clear();
  past.steps.length = past.done = 0;
  recall();
  steps();
  refresh(true);
});
byId("export-plan").addEventListener("click", exportPlan);
byId("load-plan").addEventListener("click", () => byId("plan-file").click());
byId("plan-file").addEventListener("change", event => {
  if (event.target.files.length) loadPlan(event.target.files[0]);
  event.target.value = "";
});
byId("undo").addEventListener("click", () => travel("undo"));
byId("redo").addEventListener("click", () => travel("redo"));
byId("export-dismissed").addEventListener("click", exportDismissed);
byId("ask").addEventListener("click", () => byId("help").showModal());
for (const each of document.querySelectorAll("[data-close]")) each.addEventListener("click", () => each.closest("dialog").close());
for (const each of [connectCompare, connectDeck, connectRules, connectAct]) each();

if (data.leak) {
  const [leaked, all] = data.leak, share = all ? (100 * leaked / all).toLocaleString("en-US", {maximumFractionDigits: 1}) : "0";
  byId("leak").textContent = `${grouped(leaked)} of ${counted(all, "image")} of ${setNames[1]} (${share} %) are in ${setNames[0]}.`;
}
if (matchMedia("(max-width: 640px)").matches) byId("filters").open = false;
recall();
recut(data.limit);
recallFilters();
refresh();
steps();
connect();
