// One cluster of the list, and one image of a cluster.

const MANY = 24;
const STATES = {open: "", chosen: "chosen by you", skipped: "skipped", dismissed: "not duplicates", acted: "removed"};

const previewOf = image => serving ? `preview/${image}?of=${data.mark}` : data.preview[image]
  ? `images/${data.digest[image].slice(0, 20)}-${data.previews}${["", "", "-small", "-raw", "-raw-small"][data.preview[image]]}.jpg`
  : originalOf(image);

// The URL of an image's file: on the server, or on the disk of a static page if browsers turn the image as the run did.
// Names that are not UTF-8 are stored in hex.
const SHOWN = new Set(["JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "AVIF"]);
function originalOf(image) {
  if (serving) return `original/${image}?of=${data.mark}`;
  const known = data.upright && SHOWN.has(data.formats[data.format[image]]);
  if (!known || location.protocol !== "file:" || !pathOf(image).startsWith("/") || contained.has(image)) return "";
  const odd = data.odd[image];
  return "file://" + (odd ? odd.replace(/../g, "%$&").replaceAll("%2f", "/") : pathOf(image).split("/").map(encodeURIComponent).join("/"));
}

// Show the best picture of an image in an <img>; show the preview if loading fails.
function fill(shown, image, large) {
  const preview = serving || data.preview[image] ? previewOf(image) : "";
  shown.parentElement?.classList.remove("gone");
  shown.onerror = () => {
    if (preview && !shown.src.endsWith(preview)) shown.src = preview;
    else shown.parentElement?.classList.add("gone");
  };
  shown.src = (large && originalOf(image)) || previewOf(image);
}

// A switch: a button with the state on or off.
function switching(text, {key, on, label = text, disabled = false, click}) {
  const made = make("button", {type: "button", className: "switch", title: key ? `${label} (${key})` : label, disabled,
    aria: {role: "switch", checked: on, label}, on: {click}}, make("span", {className: "knob"}), text);
  return made;
}

function drawCluster(cluster, place) {
  const images = cluster.images.slice(0, view.more.get(cluster.images[0]) ?? MANY), state = stateOf(cluster);
  const rest = cluster.images.length - images.length, keeper = keeperOf(cluster), first = cluster.images[0];
  const about = [counted(cluster.images.length, "image"), `${humanBytes(bytesOf(going(cluster)))} to remove`,
    `distance ${humanFigure(cluster.joined)}`];
  const select = make("input", {type: "checkbox", checked: view.selected.has(first), title: "select (v)",
    aria: {label: `select cluster ${cluster.number}`}, on: {change: () => toggleSelected(place)}});
  const head = make("div", {className: "head"}, select,
    make("h3", {id: `cluster-${first}`}, `Cluster ${cluster.number} `,
      make("small", {title: about.join(" · ")}, cluster.images.length > 2 ? about[0] : humanBytes(bytesOf(going(cluster))))),
    make("small", {className: "state"}, STATES[state]),
    make("span", {className: "acts"},
      switching("skip", {key: "s", on: state === "skipped", label: "skip, keep all", click: () => toggleSkip(place)}),
      switching("not dup.", {key: "d", on: state === "dismissed", label: "not duplicates", click: () => toggleDismissed(place)})));
  const items = images.map((image, n) => drawImage(cluster, keeper, place, image, n));
  if (rest) {
    items.push(make("li", {className: "more"}, make("button", {type: "button", on: {click: () => {
      view.more.set(first, images.length + 10 * MANY);
      redraw(place);
    }}}, `… ${grouped(rest)} more`)));
  }
  const row = make("article", {className: `card ${state}${place === view.at ? " at" : ""}`, dataset: {place},
    aria: {labelledby: `cluster-${first}`, posinset: place + 1, setsize: view.found.length}},
  head, make("ul", {className: "images"}, ...items));
  if (place === view.at) row.setAttribute("aria-current", "true");
  return row;
}

function drawImage(cluster, keeper, place, image, n) {
  const kept = stays(image, keeper), name = plain(data.name[image]), away = gone.has(image);
  const why = away ? "" : noteOf(cluster, keeper, image);
  const shown = make("img", {alt: "", loading: "lazy", decoding: "async"});
  const look = make("button", {type: "button", className: "look", title: "compare (Enter)", aria: {label: `compare ${name}`},
    on: {click: () => { go(place, n); openCompare(); }}}, shown);
  fill(shown, image, false);
  const said = away ? make("span", {className: "badge"}, "removed")
    : data.reference[image] ? make("span", {className: "badge", title: `always kept: ${fixedBy(image)}`}, contained.has(image) ? "container" : "reference")
      : switching("keep", {on: kept, label: `keep ${name}`, click: () => toggleStays(place, n)});
  return make("li", {className: `${away ? "away" : kept ? "stays" : "goes"}${image === keeper ? " keeper" : ""}`
    + `${place === view.at && n === view.image ? " at" : ""}`},
  look, make("span", {className: "line"}, said, setBadge(image), make("span", {className: "mse"}, distanceTo(keeper, image))),
  make("span", {className: "path", title: plain(pathOf(image))}, make("bdi", {className: "name"}, name)),
  make("span", {className: "folder", title: plain(pathOf(image))}, make("bdi", {}, plain(folderShown(cluster, image)))),
  make("span", {className: "facts", title: allFactsOf(image)}, factsOf(image)),
  why ? make("span", {className: "why", title: why}, why.replace("keeper: ", "")) : "");
}

// The part of an image's folder in which the folders of the cluster differ; the folder's last name if all are equal.
function folderShown({images}, image) {
  const every = [...new Set(images.map(each => data.folder[each]))].map(each => data.folders[each].split("/"));
  const own = data.folders[data.folder[image]].split("/");
  if (every.length === 1) return `${own.at(-1)}/`;
  let head = 0, tail = 0;
  while (head < own.length - 1 && every.every(each => each[head] === own[head])) head++;
  while (tail < own.length - head - 1 && every.every(each => each.length > head + tail + 1 && each.at(-1 - tail) === own.at(-1 - tail))) tail++;
  return `${head ? "…/" : ""}${own.slice(head, own.length - tail).join("/")}/${tail ? "…" : ""}`;
}

// Why an image is kept.
function whyOf(cluster, keeper, image) {
  if (!stays(image, keeper)) return "";
  if (fixedBy(image)) return fixedBy(image);
  if (isDismissed(cluster)) return "not a duplicate";
  if (isSkipped(cluster)) return "cluster skipped";
  if (image !== keeper) return choice.get(image) ? "chosen by you" : "not a duplicate of the keeper";
  if (cluster.images.every(each => choice.has(each))) return "keeper: chosen by you";
  const reason = reasonOf(image);
  return reason ? `keeper: ${reason === METADATA ? moreMetadata(cluster, image) : reason}` : "keeper: the first of the kept images";
}
const METADATA = "metadata that the others lack";
function moreMetadata({images}, image) {
  const others = images.filter(each => each !== image).map(metadataOf);
  const more = metadataOf(image).filter(name => others.every(each => !each.includes(name)));
  return more.length ? `only this image has ${more.join(" and ")}` : METADATA;
}

// Names of an image's metadata. The note on an image says why the image is kept, or which metadata the keeper lacks.
const metadataOf = image => [data.gps[image] && "GPS", data.cameras[data.camera[image]] && "camera", data.taken[image] && "date",
  ...data.annotations[data.annotation[image]].split(" ")].filter(Boolean);
function noteOf(cluster, keeper, image) {
  const own = metadataOf(keeper), lacks = stays(image, keeper) ? [] : metadataOf(image).filter(name => !own.includes(name));
  return whyOf(cluster, keeper, image) || (lacks.length ? `the keeper lacks: ${lacks.join(", ")}` : "");
}

// The distance to the run's keeper is known; for another keeper, only whether the files are identical.
function distanceTo(keeper, image) {
  if (image === keeper) return "★ keeper";
  const turn = turnBetween(keeper, image), proposed = starts[whole[image]];
  const same = data.digest[image] === data.digest[keeper];
  const measured = keeper === proposed ? data.mse[image] : image === proposed ? data.mse[keeper] : null;
  const text = same ? "same file" : measured === null ? "" : `${turn ? "" : "MSE "}${humanMse(measured)}`;
  return text + (turn >= 4 ? " mirrored" : "") + (turn % 4 ? ` ↺${turn % 4 * 90}°` : "");
}
// The turn from `image` to `to`: 0 to 3 quarter turns, plus 4 if the image is mirrored first. Each image's turn leads to
// the orientation of the run's keeper, so the result is the turn of `image`, then the inverse of the turn of `to`. A turn
// with a mirror is its own inverse.
function turnBetween(to, image) {
  const first = data.turn[image], second = data.turn[to] >= 4 ? data.turn[to] : (4 - data.turn[to]) % 4;
  return (second + (second >= 4 ? 8 - first : first)) % 4 + ((first >= 4) !== (second >= 4) ? 4 : 0);
}
const factsOf = (image, date = (data.taken[image] || writtenOn(image)).slice(0, 10)) => [
  `${data.width[image]}×${data.height[image]}`, humanBytes(data.bytes[image]), date, data.formats[data.format[image]],
].filter(Boolean).join(" · ");
const allFactsOf = image => factsOf(image, [data.taken[image] && `taken ${data.taken[image]}`,
  written[image] && `written ${writtenOn(image)}`].filter(Boolean).join(" · "));

// A run of two sets names the set of each image.
const setNames = globalThis.dates?.sets ?? ["a", "b"];
const setBadge = image => data.leak ? make("span", {className: `badge set${data.set[image]}`, title: "set"}, setNames[data.set[image]]) : "";
