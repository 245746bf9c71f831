// Choices, and the files that carry them away: a plan for `fast-diff apply`, dismissals for `cluster.dismissed`.

const MOST_DISMISSED = 100;

function changed(place) {
  say("");
  remember();
  redraw(place);
  document.getElementById("going").textContent = toldGoing();
}

// Where a whole cluster is left alone, what stays of it is no question.
function settled(cluster) {
  const is = isSkipped(cluster) ? "left alone" : isDismissed(cluster) ? "called no duplicates" : "";
  if (is) say(`this cluster is ${is}; take that back first (u)`);
  return is !== "";
}

function toggleStays(place, n) {
  const cluster = view.found[place], image = cluster.images[n];
  if (data.reference[image] || settled(cluster)) return;
  const keeper = keeperOf(cluster), now = stays(image, keeper);
  if (now && leaving(cluster).length === cluster.images.length - 1) {
    return say("one image of a cluster has to stay; choose another one first");
  }
  for (const each of cluster.images) if (!choice.has(each)) choice.set(each, stays(each, keeper));
  choice.set(image, !now);
  view.at = place;
  view.image = n;
  changed(place);
}

function keepAlone(place, n) {
  const cluster = view.found[place];
  if (settled(cluster)) return;
  for (const image of cluster.images) choice.set(image, data.reference[image] === 1 || image === cluster.images[n]);
  changed(place);
}

function forget(place) {
  const {images} = view.found[place];
  for (const image of images) { choice.delete(image); skipped.delete(image); }
  if (images.length <= MOST_DISMISSED) images.forEach((a, n) => images.slice(0, n).forEach(b => {
    const pair = pairOf(a, b);
    dismissed[own.has(pair) ? "add" : "delete"](pair);
  }));
  changed(place);
}

function toggleSkip(place) {
  const cluster = view.found[place], put = !isSkipped(cluster);
  for (const image of cluster.images) skipped[put ? "add" : "delete"](image);
  changed(place);
}

function toggleDismissed(place) {
  const {images} = view.found[place], put = !isDismissed(view.found[place]);
  if (images.length > MOST_DISMISSED) {
    return say(`too many pairs for this page; use fast-diff dismiss RUN --cluster ${view.found[place].number} --file FILE`);
  }
  images.forEach((a, n) => images.slice(0, n).forEach(b => dismissed[put ? "add" : "delete"](pairOf(a, b))));
  changed(place);
}

function toldGoing() {
  const images = view.found.flatMap(going);
  return `${grouped(images.length)} images, ${humanBytes(bytesOf(images))}`;
}

// A file as a plan has it. Its date is left to the run, which knows it.
function fileOf(image) {
  const file = {path: pathOf(image), bytes: data.bytes[image], digest: data.digest[image]};
  return data.odd[image] ? {...file, path_bytes: data.odd[image]} : file;
}

// Where the run lies: two folders up from here, on a disk.
function runFolder() {
  try {
    return location.protocol === "file:" ? decodeURIComponent(location.pathname).split("/").slice(0, -2).join("/") : "";
  } catch {
    return "";  // a name that is no UTF-8: the plan does without
  }
}

function planOf(clusters) {
  const run = runFolder();
  const groups = [];
  for (const cluster of clusters) {
    const remove = going(cluster);
    if (!remove.length) continue;
    const keeper = keeperOf(cluster), keep = cluster.images.filter(image => image !== keeper && stays(image, keeper));
    const reason = reasonOf(keeper) || "chosen on the page";
    groups.push({cluster: cluster.number, reason, keep: [keeper, ...keep].map(fileOf), remove: remove.map(fileOf)});
  }
  return {"fast-diff-plan": 1, run, references: data.references, clusters: groups};
}

function exportPlan() {
  const plan = planOf(view.found);
  if (!plan.clusters.length) return say("no image of the clusters that are listed would go");
  save("plan.json", "application/json", JSON.stringify(plan, null, 1));
  say(`plan.json: ${toldGoing()} of ${grouped(plan.clusters.length)} clusters. `
    + "Next, in a terminal: fast-diff apply plan.json --action report");
}

function exportDismissed() {
  if (!dismissed.size) return say("nothing is dismissed yet: “no duplicates” at a cluster does that");
  const quote = text => `"${text.replaceAll('"', '""')}"`;
  const lines = ["digest_a,digest_b,path_a,path_b"];
  for (const pair of dismissed) {
    const [a, b] = pair.split(" ").map(Number);
    lines.push([data.digest[a], data.digest[b], quote(pathOf(a)), quote(pathOf(b))].join(","));
  }
  save("dismissed.csv", "text/csv", lines.join("\r\n") + "\r\n");
  say(`dismissed.csv: ${grouped(dismissed.size)} pairs. Next: fast-diff run CONFIG --set 'cluster.dismissed=[dismissed.csv]'`);
}

function save(name, type, text) {
  const link = make("a", {download: name, href: URL.createObjectURL(new Blob([text], {type}))});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function say(text) {
  document.getElementById("said").textContent = text;
}
