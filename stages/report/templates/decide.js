// Choices in one cluster; each is a step that can be undone.

const MOST_DISMISSED = 100;

function changed(place) {
  say("");
  redraw(place);
  drawDeck();
  document.getElementById("going").textContent = removalText();
  steps();
}

// In a skipped or dismissed cluster every image is kept, so single choices are refused.
function settled(cluster) {
  const is = isSkipped(cluster) ? "skipped; switch “skip” off first (s)"
    : isDismissed(cluster) ? "marked as not duplicates; switch “not dup.” off first (d)" : "";
  if (is) say(`this cluster is ${is}`);
  return is !== "";
}

const choices = (cluster, keeps) => cluster.images.map(image => ["choice", image, keeps(image)]);
const pairsOf = images => images.flatMap((a, n) => images.slice(0, n).map(b => pairOf(a, b)));

function toggleStays(place, n) {
  const cluster = view.found[place], image = cluster.images[n];
  if (data.reference[image] || gone.has(image) || settled(cluster)) return;
  const keeper = keeperOf(cluster), now = stays(image, keeper);
  if (now && cluster.images.every(each => each === image || gone.has(each) || !stays(each, keeper))) {
    return say("a cluster keeps at least one image; choose another image to keep first");
  }
  const before = each => choice.get(each) ?? stays(each, keeper);
  decide(`${now ? "remove" : "keep"} ${plain(data.name[image])}`, choices(cluster, each => each === image ? !now : before(each)));
  view.at = place;
  view.image = n;
  changed(place);
}

function keepAlone(place, n) {
  const cluster = view.found[place], image = cluster.images[n];
  if (settled(cluster) || gone.has(image)) return;
  decide(`keep only ${plain(data.name[image])}`, choices(cluster, each => data.reference[each] === 1 || each === image));
  changed(place);
}

// Changes that clear all decisions in a cluster.
function cleared({images}) {
  const pairs = images.length <= MOST_DISMISSED ? pairsOf(images) : [];
  return [
    ...images.flatMap(image => [["choice", image, null], ["skipped", image, false], ["reviewed", image, false]]),
    ...pairs.map(pair => ["dismissed", pair, own.has(pair)])];
}

function forget(place) {
  decide(`clear cluster ${view.found[place].number}`, cleared(view.found[place]));
  changed(place);
}

function toggleSkip(place) {
  const cluster = view.found[place], put = !isSkipped(cluster);
  decide(`${put ? "skip" : "don't skip"} cluster ${cluster.number}`, cluster.images.map(image => ["skipped", image, put]));
  changed(place);
}

function toggleDismissed(place) {
  const {images, number} = view.found[place], put = !isDismissed(view.found[place]);
  if (images.length > MOST_DISMISSED) {
    return say(`too many pairs for this page; run fast-diff dismiss RUN --cluster ${number} --file FILE`);
  }
  decide(`cluster ${number}: ${put ? "not duplicates" : "duplicates"}`, pairsOf(images).map(pair => ["dismissed", pair, put]));
  changed(place);
}
