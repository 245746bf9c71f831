"use strict";
// State of the page: images and links of the run, the reader's choices, clusters at the chosen threshold.

const data = JSON.parse(document.getElementById("data").textContent);
const COUNT = data.name.length;
const cut = {threshold: data.limit, clusters: []};  // clusters: {number, images, joined}
const choice = new Map();                           // image -> keep (true) or remove (false), where the reader chose
const skipped = new Set();                          // images whose cluster is skipped
const dismissed = new Set();                        // "i j", i < j: pairs marked as not duplicates
const reviewed = new Set();                         // images that the reader has decided on in review mode
const gone = new Set();                             // images that an action on the page has removed

// Modification times lie in a separate script, so that a touched file does not change the page.
const written = globalThis.dates?.images === data.images ? globalThis.dates.written : [];
const writtenOn = image => written[image] ? new Date(1000 * written[image]).toLocaleString("sv") : "";
const timeOf = image => data.taken[image] ? Date.parse(data.taken[image].replace(" ", "T")) / 1000 : written[image] ?? 0;

// Characters that are invisible or change the text direction are shown as code points.
const hidden = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;
const plain = text => text.replace(hidden, c => `<U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>`);
const pathOf = image => `${data.folders[data.folder[image]]}/${data.name[image]}`;
const ranks = Array.from({length: COUNT}, (_, image) => image);  // images of a cluster are sorted by rank

const starts = [];  // the first image of each cluster of the run: the run's keeper
const whole = new Int32Array(COUNT);  // index of each image's cluster in the run
data.clusters.forEach((size, place) => {
  const first = place ? starts[place - 1] + data.clusters[place - 1] : 0;
  starts.push(first);
  whole.fill(place, first, first + size);
});

// Why the run chose the keeper; a keeper that the reader chose has no reason.
const reasonOf = image => starts[whole[image]] === image ? data.reasons[data.reason[whole[image]]] : "";

function recut(threshold) {
  const root = Int32Array.from(ranks), joined = new Float64Array(COUNT);
  const find = image => {
    while (root[image] !== image) image = root[image] = root[root[image]];
    return image;
  };
  const {a, b, at} = data.links;
  for (let n = 0; n < a.length; n++) {
    if (at[n] > threshold) continue;
    const x = find(a[n]), y = find(b[n]), low = Math.min(x, y), high = Math.max(x, y);
    const far = Math.max(joined[x], joined[y], at[n]);
    root[high] = low;
    joined[low] = far;
  }
  const members = new Map();
  for (const image of ranks) {
    const first = find(image);
    if (members.has(first)) members.get(first).push(image);
    else members.set(first, [image]);
  }
  cut.threshold = threshold;
  cut.clusters = [];
  for (const [first, images] of members) {
    if (images.length > 1) cut.clusters.push({number: data.numbers[whole[first]], images, joined: joined[first]});
  }
}

// The keeper is the first kept image. Choices replace the proposed keeper only if every image of the cluster has a
// choice. Images that were skipped or dismissed at another threshold are kept, too.
function keeperOf(cluster) {
  const here = gone.size ? cluster.images.filter(image => !gone.has(image)) : cluster.images;
  const images = here.length ? here : cluster.images;
  const chosen = images.every(image => choice.has(image)) ? images.find(image => choice.get(image)) : undefined;
  return chosen ?? images.find(image => choice.get(image) !== false) ?? images[0];
}
// Why an image is always kept; images inside containers are kept, since no command changes a container.
const contained = new Set(data.contained);
const fixedBy = image => contained.has(image) ? "inside a container" : data.reference[image] ? "in a reference folder" : "";
const stays = (image, keeper) => image === keeper || data.reference[image] === 1 || choice.get(image) === true
  || skipped.has(image) || dismissed.has(pairOf(image, keeper));
function leaving(cluster) {
  const keeper = keeperOf(cluster);
  return cluster.images.filter(image => !stays(image, keeper) && !gone.has(image));
}
const bytesOf = images => images.reduce((sum, image) => sum + data.bytes[image], 0);

const isSkipped = cluster => cluster.images.every(image => skipped.has(image));
const pairOf = (a, b) => `${Math.min(a, b)} ${Math.max(a, b)}`;
const isDismissed = cluster => cluster.images.every(
  (image, n) => n === 0 || dismissed.has(pairOf(cluster.images[0], image)));
const going = cluster => isSkipped(cluster) || isDismissed(cluster) ? [] : leaving(cluster);

function kinds({images, joined}) {
  const [first, ...others] = images, found = new Set();
  const alike = data.column === "mse" ? joined === 0 : images.every(image => data.mse[image] === 0);
  if (others.every(image => data.digest[image] === data.digest[first])) found.add("file");
  else found.add(alike ? "pixels" : "near");
  const turns = others.map(image => turnBetween(first, image));
  if (turns.some(turn => turn % 4)) found.add("turned");
  if (turns.some(turn => turn >= 4)) found.add("mirrored");
  return found;
}
