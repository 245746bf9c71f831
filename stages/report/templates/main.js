// Connect keys, filters and buttons to actions.

const byId = id => document.getElementById(id);
const shortcuts = {
  j: () => go(view.at + 1), ArrowDown: () => go(view.at + 1),
  ArrowUp: () => go(view.at - 1), i: () => go(view.at - 1),
  ArrowLeft: () => go(view.at, view.image - 1), ArrowRight: () => go(view.at, view.image + 1),
  Enter: openCompare, x: () => toggleStays(view.at, view.image), k: () => keepAlone(view.at, view.image),
  u: () => travel("undo"), r: () => travel("redo"), c: () => forget(view.at), s: () => toggleSkip(view.at), d: () => toggleDismissed(view.at),
  "?": () => byId("help").showModal(), "/": () => byId("text").focus(),
};
const comparing = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), 1: () => setMode("side"), 2: () => setMode("blink"),
  3: () => setMode("difference"), " ": () => byId("stage").classList.toggle("second"),
  x: () => { toggleStays(view.at, view.image); openCompare(); },
  k: () => { keepAlone(view.at, view.image); openCompare(); },
};

document.addEventListener("keydown", event => {
  const typing = event.target.matches("input:not([type=range]), select, textarea")
    || (event.target.matches("input") && event.key.startsWith("Arrow"));
  if (typing || event.ctrlKey || event.metaKey || event.altKey || byId("help").open || byId("act").open) return;
  if (["Enter", " "].includes(event.key) && event.target.matches("button, a, summary")) return;
  const action = (dialog.open ? comparing : shortcuts)[event.key];
  if (!action || (!dialog.open && !["?", "/"].includes(event.key) && !inSight())) return;
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
const drawSoon = soon(draw), refreshSoon = soon(refresh);
addEventListener("scroll", drawSoon, {passive: true});
let height = rowHeight();
addEventListener("resize", () => {
  drawSoon();
  if (rowHeight() !== height) { height = rowHeight(); refresh(true); }
});

function listen(id, change) {
  byId(id).addEventListener("input", event => { change(event.target.value); refreshSoon(); });
}
listen("text", value => { filter.text = value; });
listen("kind", value => { filter.kind = value; });
listen("state", value => { filter.state = value; });
listen("order", value => { filter.order = value; });
listen("size", value => { filter.size = Math.max(2, Number(value) || 2); });
listen("least", value => { filter.least = Number(value) || 0; });
listen("most", value => { filter.most = value === "" ? Infinity : Number(value); });
listen("threshold", value => {
  const {max} = byId("threshold"), threshold = value === max ? data.limit : data.limit * Number(value) / Number(max);
  byId("threshold-said").textContent = humanFigure(threshold);
  recut(threshold);
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
byId("clear").addEventListener("click", () => {
  for (const id of ["text", "kind", "least", "most", "size", "state"]) {
    byId(id).value = "";
    byId(id).dispatchEvent(new Event("input"));
  }
  byId("threshold").value = byId("threshold").max;
  byId("threshold").dispatchEvent(new Event("input"));
  byId("text").focus();
});
byId("keep-this").addEventListener("click", () => comparing.k());
byId("goes-this").addEventListener("click", () => comparing.x());
for (const each of dialog.querySelectorAll("[data-mode]")) each.addEventListener("click", () => setMode(each.dataset.mode));
for (const each of dialog.querySelectorAll("[data-step]")) each.addEventListener("click", () => step(Number(each.dataset.step)));
for (const each of document.querySelectorAll("[data-close]")) each.addEventListener("click", () => each.closest("dialog").close());
byId("stage").addEventListener("click", () => byId("stage").classList.toggle("second"));
dialog.addEventListener("close", () => clearInterval(compare.timer));

if (matchMedia("(max-width: 640px)").matches) byId("filters").open = false;
recall();
recut(data.limit);
refresh();
steps();
connectAct();
connect();
