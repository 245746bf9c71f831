// Facts of two images side by side, with the differences marked.

const more = new Map();  // facts from the server, by image

function factsRows(image) {
  const pixels = data.width[image] * data.height[image] / 1e6;
  return {
    name: plain(data.name[image]), folder: plain(data.folders[data.folder[image]]), set: data.leak ? setNames[data.set[image]] : "",
    dimensions: `${grouped(data.width[image])} × ${grouped(data.height[image])}`, megapixels: pixels.toFixed(1),
    bytes: grouped(data.bytes[image]), format: data.formats[data.format[image]], taken: data.taken[image],
    written: writtenOn(image), camera: data.cameras[data.camera[image]], GPS: data.gps[image] ? "yes" : "no",
    annotations: data.annotations[data.annotation[image]].replaceAll(" ", ", "),
    content: data.digest[image].slice(0, 16), ...more.get(image)};
}

function drawTable(keeper, image) {
  const table = byId("facts"), [a, b] = [keeper, image].map(factsRows);
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(name => a[name] || b[name]);
  table.replaceChildren(
    make("thead", {}, make("tr", {}, make("td"), make("th", {scope: "col"}, "keeper"), make("th", {scope: "col"}, "this image"))),
    make("tbody", {}, ...names.map(name => {
      const differs = (a[name] ?? "") !== (b[name] ?? "");
      return make("tr", {className: differs ? "differs" : ""},
        make("th", {scope: "row"}, name, differs ? make("span", {className: "hidden"}, " (differs)") : ""),
        ...[a, b].map(each => make("td", {}, make("bdi", {}, each[name] || "–"))));
    })));
  if (serving) for (const each of [keeper, image]) askFacts(each);
}

async function askFacts(image) {
  if (more.has(image)) return;
  more.set(image, {});
  try {
    more.set(image, await ask(`facts/${image}?of=${data.mark}`));
    if ([compare.keeper, compare.image].includes(image) && dialog.open) drawTable(compare.keeper, compare.image);
  } catch {
    more.delete(image);
  }
}
