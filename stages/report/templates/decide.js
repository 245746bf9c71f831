// Choices, and their export: a plan for `fast-diff apply`, dismissals for `cluster.dismissed`.

const MOST_DISMISSED = 100;

function changed(place) {
  say("");
  remember();
  redraw(place);
  document.getElementById("going").textContent = removalText();
}

// In a skipped or dismissed cluster every image stays, so single choices are refused.
function settled(cluster) {
  const is = isSkipped(cluster) ? "skipped" : isDismissed(cluster) ? "marked as not duplicates" : "";
  if (is) say(`this cluster is ${is}; undo this first (u)`);
  return is !== "";
}

function toggleStays(place, n) {
  const cluster = view.found[place], image = cluster.images[n];
  if (data.reference[image] || settled(cluster)) return;
  const keeper = keeperOf(cluster), now = stays(image, keeper);
  if (now && leaving(cluster).length === cluster.images.length - 1) {
    return say("a cluster keeps at least one image; choose another image to keep first");
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

// `choices`: images, each with whether it stays.
function chooseAll(choices) {
  for (const [image, stays] of choices) choice.set(image, stays);
  remember();
  refresh(true);
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
    return say(`too many pairs for this page; run fast-diff dismiss RUN --cluster ${view.found[place].number} --file FILE`);
  }
  images.forEach((a, n) => images.slice(0, n).forEach(b => dismissed[put ? "add" : "delete"](pairOf(a, b))));
  changed(place);
}

function removalText() {
  const images = view.found.flatMap(going);
  return `${counted(images.length, "image")}, ${humanBytes(bytesOf(images))}`;
}

// A file in a plan; `fast-diff apply` reads the file's date from the run.
function fileOf(image) {
  const file = {path: pathOf(image), bytes: data.bytes[image], digest: data.digest[image]};
  return data.odd[image] ? {...file, path_bytes: data.odd[image]} : file;
}

// The run's folder, two folders above this page on a disk; empty elsewhere.
function runFolder() {
  try {
    return location.protocol === "file:" ? decodeURIComponent(location.pathname).split("/").slice(0, -2).join("/") : "";
  } catch {
    return "";  // a name that is not UTF-8
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
  if (!plan.clusters.length) return say("the listed clusters have no image to remove");
  save("plan.json", "application/json", JSON.stringify(plan, null, 1));
  say(`plan.json: ${removalText()} in ${counted(plan.clusters.length, "cluster")}. `
    + "Next, in a terminal: fast-diff apply plan.json --action report");
}

function exportDismissed() {
  if (!dismissed.size) return say("no pairs are dismissed yet: press “not duplicates” at a cluster");
  const quote = text => `"${text.replaceAll('"', '""')}"`;
  const lines = ["digest_a,digest_b,path_a,path_b"];
  for (const pair of dismissed) {
    const [a, b] = pair.split(" ").map(Number);
    lines.push([data.digest[a], data.digest[b], quote(pathOf(a)), quote(pathOf(b))].join(","));
  }
  save("dismissed.csv", "text/csv", lines.join("\r\n") + "\r\n");
  say(`dismissed.csv: ${counted(dismissed.size, "pair")}. Next: fast-diff run CONFIG --set 'cluster.dismissed=[dismissed.csv]'`);
}

function save(name, type, text) {
  const link = make("a", {download: name, href: URL.createObjectURL(new Blob([text], {type}))});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function say(text) {
  document.getElementById("said").textContent = text;
}
