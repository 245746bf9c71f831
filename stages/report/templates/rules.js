// Apply a rule to the selected clusters, or to all listed clusters: first a preview of the changes, then one step.

const FORMATS = ["RAW", "TIFF", "PNG", "JPEG"];  // the order of `cluster.keep: format`
const within = (image, folder) => pathOf(image).startsWith(folder.endsWith("/") ? folder : `${folder}/`);
const formatRank = image => {
  const name = data.formats[data.format[image]], place = FORMATS.indexOf(name === "MPO" ? "JPEG" : name);
  return place < 0 ? FORMATS.length : place;
};
// A key for each image; the image with the least key is kept. If keys are equal, the first image is kept.
const ruleKeys = {
  prefer: folder => image => within(image, folder) ? 0 : 1,
  avoid: folder => image => within(image, folder) ? 1 : 0,
  oldest: () => image => timeOf(image) || Infinity,
  newest: () => image => -timeOf(image),
  largest: () => image => -data.width[image] * data.height[image],
  bytes: () => image => -data.bytes[image],
  format: () => formatRank,
};

function ruleScope() {
  const selected = view.found.filter(({images}) => view.selected.has(images[0]));
  return selected.length ? selected : view.found;
}

// Changes of one cluster by a rule; none where the rule does not tell the images apart, or the cluster is settled.
function ruled(name, folder, cluster) {
  if (name === "clear") return cleared(cluster);
  if (isSkipped(cluster) || isDismissed(cluster)) return [];
  const images = cluster.images.filter(image => !gone.has(image));
  if (name === "all") return images.map(image => ["choice", image, true]);
  const key = ruleKeys[name](folder), keys = images.map(key);
  if (images.length < 2 || keys.every(each => each === keys[0])) return [];
  const least = keys.reduce((a, b) => Math.min(a, b)), best = images[keys.indexOf(least)];
  return images.map(image => ["choice", image, image === best || data.reference[image] === 1]);
}

const chosenRule = () => [byId("rule").value, byId("rule-folder").value.trim()];
const needsFolder = name => name === "prefer" || name === "avoid";

// The changes that a rule would make, and the clusters that would change.
function rulePlan() {
  const [name, folder] = chosenRule();
  const scope = ruleScope();
  if (needsFolder(name) && !folder) return {scope, changes: [], clusters: []};
  const clusters = [];
  const changes = [];
  for (const cluster of scope) {
    const found = ruled(name, folder, cluster).filter(([kind, key, value]) => valueOf(kind, key) !== value);
    if (!found.length) continue;
    const before = keeperOf(cluster), went = going(cluster);
    const undone = found.map(([kind, key]) => [kind, key, valueOf(kind, key)]);
    found.forEach(put);
    const after = keeperOf(cluster), go = going(cluster);
    undone.forEach(put);
    changes.push(...found);
    if (before !== after || went.length !== go.length || go.some(image => !went.includes(image))) clusters.push({cluster, before, after, went, go});
  }
  return {scope, changes, clusters};
}

function drawRules() {
  const [name] = chosenRule(), {scope, changes, clusters} = rulePlan();
  byId("rule-folder-row").hidden = !needsFolder(name);
  const selected = ruleScope() !== view.found;
  byId("rule-scope").textContent = `the ${counted(scope.length, selected ? "selected cluster" : "listed cluster")}`;
  const sum = part => clusters.reduce((total, each) => total + each[part].length, 0);
  const bytes = part => clusters.reduce((total, each) => total + bytesOf(each[part]), 0);
  const keepers = clusters.filter(({before, after}) => before !== after).length;
  byId("rule-preview").textContent = needsFolder(name) && !chosenRule()[1] ? "choose a folder"
    : !changes.length ? "this rule changes nothing here"
      : `${counted(clusters.length, "cluster")} would change: ${counted(keepers, "new keeper")}; to remove: `
        + `${grouped(sum("went"))} → ${counted(sum("go"), "image")}, ${humanBytes(bytes("went"))} → ${humanBytes(bytes("go"))}`;
  byId("rule-list").replaceChildren(...clusters.slice(0, 50).map(({cluster, before, after}) => make("li", {},
    `Cluster ${cluster.number}: `, make("bdi", {}, plain(data.name[before])), before === after ? " is still the keeper"
      : " → ", before === after ? "" : make("bdi", {}, `${plain(data.name[after])} (${plain(folderShown(cluster, after))})`))));
  byId("rule-apply").disabled = !changes.length;
}

function applyRule() {
  const {changes, clusters, scope} = rulePlan(), option = byId("rule").selectedOptions[0].textContent;
  const [name, folder] = chosenRule();
  decide(`${option}${needsFolder(name) ? ` ${folder}` : ""} for ${counted(scope.length, "cluster")}`, changes);
  byId("rules").close();
  refresh(true);
  steps();
  say(`${option}: ${counted(clusters.length, "cluster")} changed; u undoes this as one step`);
}

function connectRules() {
  byId("open-rules").addEventListener("click", () => {
    const found = new Set(ruleScope().slice(0, 2000).flatMap(({images}) => images.map(image => data.folders[data.folder[image]])));
    byId("rule-folders").replaceChildren(...[...found].sort().slice(0, 500).map(value => make("option", {value})));
    byId("rules").showModal();
    drawRules();
  });
  for (const id of ["rule", "rule-folder"]) byId(id).addEventListener("input", drawRules);
  byId("rule-apply").addEventListener("click", applyRule);
}
