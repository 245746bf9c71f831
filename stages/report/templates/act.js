// Act on files, on a page that `fast-diff review` serves: dry run, apply, stop, undo.

const act = {digest: "", key: ""};  // digest of the last dry run's plan, and `actKey()` at the dry run
const MOST_LINES = 200;

const MERGES = "writes caption, keywords, people, rating, date and GPS that the kept image lacks into its XMP sidecar";
const NONE_TO_MERGE = "nothing to merge: each removed image is the same file as its keeper, and has no XMP sidecar";

// Why no metadata can be merged; empty if some may be merged.
function whyUnmergeable() {
  if (server.unmergeable) return server.unmergeable;
  const some = view.found.some(cluster => {
    const digest = data.digest[keeperOf(cluster)];
    return going(cluster).some(image => data.digest[image] !== digest || server.sidecars.has(image));
  });
  return some ? "" : NONE_TO_MERGE;
}
// The options of `fast-diff apply` that the reader chose.
function chosenOptions() {
  const merge = byId("merge"), action = byId("action").value;
  return {action, to: action === "move" ? byId("move-to").value : "", companions: byId("companions").value,
    merge_metadata: merge.getAttribute("aria-checked") === "true" && !merge.disabled};
}
// The state of the page that a dry run depends on; a changed state needs a new dry run before “apply”.
const actKey = () => JSON.stringify([chosenOptions(), server.revision, view.found.length, removalText(), cut.threshold]);

async function attempt(path, body) {
  byId("act-said").textContent = "";
  try {
    const found = await ask(path, body);
    await look();
    watch();
    return found;
  } catch (error) {
    byId("act-said").textContent = error.message;
    return null;
  }
}

async function dryRun() {
  const clusters = groupsOf(view.found), options = chosenOptions();
  if (!clusters.length) { byId("act-said").textContent = "the listed clusters have no image to remove"; return; }
  while (server.busy || server.waiting.length) await new Promise(done => setTimeout(done, 20));
  const key = actKey();
  const found = await attempt("plan", {revision: server.revision, ...options, clusters});
  if (!found) return;
  act.digest = found.digest;
  act.key = key;
  byId("act-said").textContent = found.warning;
  drawAct();
}

async function applyPlan() {
  const {digest} = act;
  act.digest = "";
  await attempt("apply", {digest});
}

function drawAct() {
  if (!byId("act").open) return;
  const {work} = server, busy = work !== null && !work.ended;
  const {action} = chosenOptions();
  byId("move-row").hidden = action !== "move";
  byId("act-back").hidden = action === "report";
  byId("act-back").textContent = action === "delete" ? "Deleted files can’t be put back." : "After “apply”, “undo” below puts every file back.";
  byId("act-back").classList.toggle("problem", action === "delete");
  drawMerge();
  byId("act-scope").textContent = `${removalText()} in ${counted(groupsOf(view.found).length, "listed cluster")}`;
  const ready = act.digest !== "" && work?.name === "dry run" && work.digest === act.digest && work.ended && !work.error
    && act.key === actKey() && work.outcome.files > 0 && action !== "report";
  const apply = byId("act-apply");
  apply.disabled = !ready;
  const counts = ready ? [["", work.outcome.files, "file"], ["", work.outcome.companions, "companion"], ["metadata into ", work.outcome.sidecars, "sidecar"]] : [];
  const amount = counts.filter(([, count]) => count).map(([what, count, one]) => what + counted(count, one)).join(", ");
  apply.textContent = ready ? `${byId("action").selectedOptions[0].textContent}: ${amount}` : "apply";
  byId("dry-run").disabled = busy;
  byId("act-stop").hidden = !busy;
  const meter = byId("act-progress");
  meter.hidden = !busy;
  meter.max = Math.max(1, work?.total ?? 1);
  meter.value = work?.done ?? 0;
  const merged = work?.outcome.merging && !work.outcome.sidecars && !work.outcome.conflicts.length ? "no metadata to merge" : "";
  byId("act-work").textContent = work === null ? "" : [`${work.name}${busy ? `: ${grouped(work.done)} of ${grouped(work.total)}` : ""}`,
    ...work.summary, merged, work.error].filter(Boolean).join(" · ");
  const last = (work?.lines ?? []).slice(-MOST_LINES);
  const rest = work?.done > last.length ? [`the last ${grouped(last.length)} lines:`] : [];
  const lines = [work?.details ?? [], [...rest, ...last]].filter(part => part.length).map(part => part.join("\n")).join("\n\n");
  if (byId("act-lines").textContent !== lines) byId("act-lines").textContent = lines;
  byId("act-lines").hidden = !lines;
  drawJournals(busy);
}

function drawMerge() {
  const why = whyUnmergeable();
  byId("merge").disabled = why !== "";
  byId("merge-about").textContent = why || MERGES;
}

function drawJournals(busy) {
  const list = byId("journals"), shown = JSON.stringify([server.journals, busy]);
  if (list.dataset.shown === shown) return;
  list.dataset.shown = shown;
  list.replaceChildren(...server.journals.map(({name, digest, action, files, away}) => {
    const undo = make("button", {type: "button", disabled: busy || !away || action === "delete",
      on: {click: () => attempt("undo", {journal: name, digest})}}, "undo");
    undo.setAttribute("aria-label", `undo ${name}`);
    const state = action === "delete" ? "deleted" : away ? `${grouped(away)} can be restored` : "all restored";
    return make("li", {}, undo, ` ${action}, ${counted(files, "file")}: ${state} (${name})`);
  }));
  byId("journals-head").hidden = !server.journals.length;
}

function connectAct() {
  if (!serving) return;
  byId("open-act").addEventListener("click", () => { byId("act").showModal(); drawAct(); });
  byId("dry-run").addEventListener("click", dryRun);
  byId("act-apply").addEventListener("click", applyPlan);
  byId("act-stop").addEventListener("click", () => attempt("stop", {}));
  byId("merge").addEventListener("click", ({currentTarget}) => {
    currentTarget.setAttribute("aria-checked", String(currentTarget.getAttribute("aria-checked") !== "true"));
    drawAct();
  });
  for (const id of ["action", "move-to", "companions"]) byId(id).addEventListener("input", drawAct);
}
