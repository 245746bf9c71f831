// Filters and order of the list.

const filter = {text: "", kind: "", least: 0, most: Infinity, size: 2, order: "worth", state: "", reviewed: "", folders: null};
const orders = {
  worth: (a, b) => b.worth - a.worth,
  size: (a, b) => b.images.length - a.images.length,
  near: (a, b) => a.joined - b.joined,
  far: (a, b) => b.joined - a.joined,
  path: (a, b) => comparePaths(pathOf(a.images[0]), pathOf(b.images[0])),
  newest: (a, b) => b.newest - a.newest,
};
const comparePaths = (a, b) => a < b ? -1 : a > b ? 1 : 0;
const newest = cluster => cluster.images.reduce((last, image) => Math.max(last, timeOf(image)), 0);

const sought = name => (plain(name) === name ? name : `${name} ${plain(name)}`).toLowerCase();  // as stored and as shown
const names = data.name.map(sought), folders = data.folders.map(sought);

function listed() {
  const text = filter.text.toLowerCase();
  const inFolder = folders.map(folder => folder.includes(text));
  const says = image => inFolder[data.folder[image]] || names[image].includes(text)
    || (text.includes("/") && `${folders[data.folder[image]]}/${names[image]}`.includes(text));
  const found = cut.clusters.filter(cluster =>
    cluster.images.length >= filter.size && cluster.joined >= filter.least && cluster.joined <= filter.most
    && (!filter.kind || kinds(cluster).has(filter.kind))
    && (!text || cluster.images.some(says))
    && (!filter.folders || shares(cluster, filter.folders))
    && (!filter.state || filter.state === stateOf(cluster))
    && (!filter.reviewed || (filter.reviewed === "yes") === isReviewed(cluster)));
  for (const cluster of found) {
    cluster.worth = bytesOf(cluster.images.filter((image, n) => n > 0 && data.reference[image] !== 1));  // as proposed
    if (filter.order === "newest") cluster.newest = newest(cluster);
  }
  return found.sort((a, b) => orders[filter.order](a, b) || a.images[0] - b.images[0]);
}

function stateOf(cluster) {
  if (gone.size && cluster.images.filter(image => !gone.has(image)).length < 2) return "acted";
  if (isDismissed(cluster)) return "dismissed";
  if (isSkipped(cluster)) return "skipped";
  return cluster.images.some(image => choice.has(image)) ? "chosen" : "open";
}
