// Plans and dismissals as files: a plan for `fast-diff apply`, dismissals for `cluster.dismissed`.

function removalText() {
  const images = view.found.flatMap(going);
  return `${counted(images.length, "image")}, ${humanBytes(bytesOf(images))}`;
}

// Clusters of a plan as numbers of images, the keeper first.
function groupsOf(clusters) {
  const groups = [];
  for (const cluster of clusters) {
    const remove = going(cluster);
    if (!remove.length) continue;
    const keeper = keeperOf(cluster);
    const keep = cluster.images.filter(image => image !== keeper && !gone.has(image) && stays(image, keeper));
    groups.push({cluster: cluster.number, keep: [keeper, ...keep], remove});
  }
  return groups;
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
  const groups = groupsOf(clusters).map(({cluster, keep, remove}) => ({
    cluster, reason: reasonOf(keep[0]) || "chosen on the page", keep: keep.map(fileOf), remove: remove.map(fileOf)}));
  return {"fast-diff-plan": 1, run: runFolder(), references: data.references, clusters: groups};
}

function exportPlan() {
  const plan = planOf(view.found);
  if (!plan.clusters.length) return say("the listed clusters have no image to remove");
  save("plan.json", "application/json", JSON.stringify(plan, null, 1));
  say(`plan.json: ${removalText()} in ${counted(plan.clusters.length, "cluster")}. `
    + "Next, in a terminal: fast-diff apply plan.json --action report");
}

// Apply the choices of a plan file as one step; files of other runs, and files that have changed, are left out.
async function loadPlan(file) {
  const known = new Map(data.digest.map((digest, image) => [`${pathOf(image)}\n${digest}`, image]));
  const changes = [];
  let others = 0;
  try {
    const plan = JSON.parse(await file.text());
    if (plan["fast-diff-plan"] !== 1) throw new Error("no plan");
    for (const group of plan.clusters) {
      for (const [files, value] of [[group.keep, true], [group.remove, false]]) {
        for (const {path, digest} of files) {
          const image = known.get(`${path}\n${digest}`);
          if (image === undefined) others++;
          else changes.push(["choice", image, value || data.reference[image] === 1], ["skipped", image, false]);
        }
      }
    }
  } catch {
    return say(`${file.name}: expected a plan, as fast-diff plan and this page write`);
  }
  decide(`load ${file.name}`, changes);
  refresh(true);
  const left = others ? `; ${counted(others, "file")} of the plan ${others === 1 ? "is" : "are"} not on this page` : "";
  say(`${file.name}: choices for ${counted(changes.length / 2, "image")}${left}`);
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
  for (const each of document.querySelectorAll(".said")) each.textContent = text;
}
