// The link to `fast-diff review`: saves decisions, and learns of other windows, jobs and journals.

const server = {revision: 0, waiting: [], busy: false, undo: null, redo: null, work: null, journals: [], at: null, sidecars: new Set(), unmergeable: "", timer: 0, lost: false};
const PAUSE = 1000, PAUSE_AT_WORK = 300;

async function ask(path, body) {
  const how = body === undefined ? {} : {
    method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify({mark: data.mark, ...body})};
  const answer = await fetch(path, {...how, cache: "no-store", redirect: "error"});
  const found = answer.headers.get("content-type")?.startsWith("application/json") ? await answer.json() : {};
  if (!answer.ok) throw Object.assign(new Error(found.error ?? `the server refused the request (${answer.status})`), {status: answer.status});
  return found;
}

function send(action) {
  server.waiting.push(action);
  pump();
}

// Send one request at a time, so that the server gets actions in order. A decision is saved when the server answers.
async function pump() {
  if (server.busy || !server.waiting.length) return;
  server.busy = true;
  saved("saving…");
  const actions = server.waiting.splice(0);
  try {
    const state = await ask("decide", {revision: server.revision, actions});
    absorb(state, actions.some(({does}) => does !== "do"));
    if (!server.waiting.length) saved("saved");
  } catch (error) {
    await failed(actions, error);
  }
  server.busy = false;
  if (server.waiting.length) setTimeout(pump, 0);
}

async function failed(actions, error) {
  if (error.status === 409 || error.status === 400) {
    server.waiting.unshift(...error.status === 409 ? actions.filter(({does}) => does === "do") : []);
    say(error.message);
    saved("");
    await look(true).catch(() => {});
  } else {  // the server is gone, or its disk is full: try again
    server.waiting.unshift(...actions);
    saved("not saved");
    say(error.status ? error.message : "not saved: the server does not answer; start fast-diff review again");
    await new Promise(done => setTimeout(done, 2 * PAUSE));
  }
}

function absorb(state, visit = false) {
  server.revision = state.revision;
  server.undo = state.undo;
  server.redo = state.redo;
  const changes = state.all ?? state.changes;
  if (state.all) {
    for (const each of [choice, skipped, reviewed, dismissed]) each.clear();
    for (const pair of own) dismissed.add(pair);
    server.at = state.at;
    server.sidecars = new Set(state.sidecars);
  }
  const before = changes.map(([kind, key]) => valueOf(kind, key));
  changes.forEach(put);
  for (const action of server.waiting) action.set?.forEach(put);  // the page shows decisions before they are saved
  const news = Boolean(state.all) || changes.some(([kind, key], n) => valueOf(kind, key) !== before[n]);
  const away = state.gone.length !== gone.size || state.gone.some(image => !gone.has(image));
  gone.clear();
  for (const image of state.gone) gone.add(image);
  server.work = state.work;
  server.journals = state.journals;
  server.unmergeable = state.unmergeable;
  if (visit && changes.length) shownAgain(changes);
  else if (visit) say("nothing to undo or redo");
  else if (news || away) refresh(true);
  steps();
  drawAct();
}

async function look(everything = false) {
  absorb(await ask(`state?of=${data.mark}${everything ? "" : `&since=${server.revision}`}`));
}

// Look again every second, and sooner while a job runs.
async function watch() {
  clearTimeout(server.timer);
  if (!server.busy && document.visibilityState === "visible") {
    try {
      await look();
      if (server.lost) { server.lost = false; say(""); }
    } catch (error) {
      server.lost = true;
      say(error.status ? error.message : "the server does not answer; start fast-diff review again");
    }
  }
  server.timer = setTimeout(watch, server.work && !server.work.ended ? PAUSE_AT_WORK : PAUSE);
}

function saved(text) {
  document.getElementById("saved").textContent = text;
}

// Set the titles of the buttons undo and redo to the step that each button would undo or redo.
function steps() {
  const [undo, redo] = serving ? [server.undo, server.redo]
    : [past.steps[past.done - 1]?.label, past.steps[past.done]?.label];
  for (const [id, label] of [["undo", undo], ["redo", redo]]) {
    const element = document.getElementById(id);
    element.disabled = label == null;
    element.title = label == null ? "" : `${id}: ${label}`;
  }
}

async function connect() {
  if (!serving) return;
  document.documentElement.classList.add("serving");
  addEventListener("beforeunload", event => { if (server.busy || server.waiting.length) event.preventDefault(); });
  document.addEventListener("visibilitychange", watch);
  try {
    await look(true);
    saved("saved");
  } catch (error) {
    say(error.message);
  }
  watch();
}
