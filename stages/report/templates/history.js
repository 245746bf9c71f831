// The reader's decisions: each decision goes through `decide`, is stored, and can be undone and redone.

const own = new Set(data.dismissed.map(([a, b]) => pairOf(a, b)));  // pairs dismissed in the run's config
const storageKey = `fast-diff:${data.mark}`;
const sets = {skipped, reviewed, dismissed};
const past = {steps: [], done: 0};  // steps: {label, after, before}; `done` of them are in force
const serving = document.querySelector('meta[name="fast-diff-review"]') !== null;

// `null`: no decision; a pair that the run's config dismisses stays dismissed.
function valueOf(kind, key) {
  return kind === "choice" ? choice.get(key) ?? null : sets[kind].has(key);
}
function put([kind, key, value]) {
  if (kind === "choice") value === null ? choice.delete(key) : choice.set(key, value);
  else sets[kind][value ?? (kind === "dismissed" && own.has(key)) ? "add" : "delete"](key);
}

// Make one step of the changes that have an effect; return whether any change has an effect.
function decide(label, changes) {
  const after = changes.filter(([kind, key, value]) => valueOf(kind, key) !== value);
  if (!after.length) return false;
  const before = after.map(([kind, key]) => [kind, key, valueOf(kind, key)]).reverse();
  after.forEach(put);
  if (serving) {
    send({does: "do", label, set: after});
  } else {
    past.steps.splice(past.done, Infinity, {label, after, before});
    past.done++;
    remember();
  }
  return true;
}

function travel(does) {
  if (serving) return send({does});
  const step = past.steps[does === "undo" ? past.done - 1 : past.done];
  if (!step) return say(`nothing to ${does}`);
  past.done += does === "undo" ? -1 : 1;
  (does === "undo" ? step.before : step.after).forEach(put);
  remember();
  say(`${does === "undo" ? "undone" : "redone"}: ${step.label}`);
  shownAgain((does === "undo" ? step.before : step.after));
}

// Redraw the list after a step was undone or redone, and move to the first changed image.
function shownAgain(changes) {
  refresh(true);
  const [kind, key] = changes[0] ?? [];
  if (kind === undefined) return;
  const image = kind === "dismissed" ? Number(key.split(" ")[0]) : key;
  visit(view.found.findIndex(({images}) => images.includes(image)), image);
  if (dialog.open) openCompare();
}

// ---- a static page stores decisions in this browser, for this set of images

function remember() {
  if (serving) return;
  try {
    const taken = [...own].filter(pair => !dismissed.has(pair));
    const kept = {choice: [...choice], skipped: [...skipped], dismissed: [...dismissed], reviewed: [...reviewed], taken};
    localStorage.setItem(storageKey, JSON.stringify(kept));
  } catch {
    say("this browser can't store your decisions: export a plan before you leave the page");
  }
}
function recall() {
  for (const pair of own) dismissed.add(pair);  // even if this browser has not stored the pair yet
  if (serving) return;
  try {
    const kept = JSON.parse(localStorage.getItem(storageKey) ?? "{}");
    for (const [image, how] of kept.choice ?? []) choice.set(image, how);
    for (const [kind, set] of Object.entries(sets)) for (const key of kept[kind] ?? []) set.add(key);
    for (const pair of kept.taken ?? []) dismissed.delete(pair);
  } catch { /* nothing is stored */ }
}
