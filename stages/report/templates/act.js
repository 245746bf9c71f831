// Act on files, on a page that `fast-diff review` serves: dry run, apply, stop, undo.

const act = {digest: "", key: ""};  // the plan of the last dry run, and what it was made from
const MOST_LINES = 200;

const chosenAction = () => [byId("action").value, byId("action").value === "move" ? byId("move-to").value : ""];
// What the reader sees; a dry run of anything else may not be applied.
const actKey = () => JSON.stringify([...chosenAction(), server.revision, view.found.length, removalText(), cut.threshold]);

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
  const clusters = groupsOf(view.found), [action, to] = chosenAction();
  if (!clusters.length) { byId("act-said").textContent = "the listed clusters have no image to remove"; return; }
  while (server.busy || server.waiting.length) await new Promise(done => setTimeout(done, 20));
  const key = actKey();
  const found = await attempt("plan", {revision: server.revision, action, to, clusters});
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
  byId("move-row").hidden = byId("action").value !== "move";
  byId("act-scope").textContent = `${removalText()} in ${counted(groupsOf(view.found).length, "listed cluster")}`;
  const ready = act.digest !== "" && work?.name === "dry run" && work.digest === act.digest && work.ended && !work.error
    && act.key === actKey() && work.outcome.files > 0 && byId("action").value !== "report";
  const apply = byId("act-apply");
  apply.disabled = !ready;
  const beside = ready && work.outcome.companions ? ` and ${counted(work.outcome.companions, "companion")}` : "";
  apply.textContent = ready ? `${byId("action").selectedOptions[0].textContent}: ${counted(work.outcome.files, "file")}${beside}` : "apply";
  byId("dry-run").disabled = busy;
  byId("act-stop").hidden = !busy;
  const meter = byId("act-progress");
  meter.hidden = !busy;
  meter.max = Math.max(1, work?.total ?? 1);
  meter.value = work?.done ?? 0;
  byId("act-work").textContent = work === null ? "" : [`${work.name}${busy ? `: ${grouped(work.done)} of ${grouped(work.total)}` : ""}`,
    ...work.summary, work.error].filter(Boolean).join(" · ");
  const reasons = Object.entries(work?.outcome.left_alone ?? {}).map(([why, count]) => `${grouped(count)} left alone: ${why}`);
  const lines = [...reasons, ...(work?.lines ?? []).slice(-MOST_LINES)].join("\n");
  if (byId("act-lines").textContent !== lines) byId("act-lines").textContent = lines;
  byId("act-lines").hidden = !lines;
  drawJournals(busy);
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
    return make("li", {}, `${name}: ${action}, ${counted(files, "file")}, ${state} `, undo);
  }));
  byId("journals-head").hidden = !server.journals.length;
}

function connectAct() {
  if (!serving) return;
  byId("open-act").addEventListener("click", () => { byId("act").showModal(); drawAct(); });
  byId("dry-run").addEventListener("click", dryRun);
  byId("act-apply").addEventListener("click", applyPlan);
  byId("act-stop").addEventListener("click", () => attempt("stop", {}));
  for (const id of ["action", "move-to"]) byId(id).addEventListener("input", drawAct);
}
