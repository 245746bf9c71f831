// The triangle of folders: a cell lists its clusters; a button then removes the duplicates of one folder.

const sharing = document.getElementById("sharing");
const under = (path, folder) => path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);

// Of two nested folders, the outer folder counts without the inner folder.
function liesIn(image, folder, other) {
  const path = data.folders[data.folder[image]];
  return under(path, folder) && !(under(other, folder) && under(path, other));
}
const shares = (cluster, [a, b]) => cluster.images.some(image => liesIn(image, a, b))
  && cluster.images.some(image => liesIn(image, b, a));

function openCell(a, b) {
  filter.folders = [data.sharing[a], data.sharing[b]];
  sharing.hidden = false;
  const names = [data.sharing_names[a], data.sharing_names[b]].map(plain);
  document.getElementById("sharing-said").textContent = `clusters with images in ${names[0]} and in ${names[1]}`;
  for (const [id, goes] of [["first-goes", 0], ["second-goes", 1]]) {
    document.getElementById(id).textContent = `remove duplicates in ${names[goes]}`;
    document.getElementById(id).title = `remove the duplicates in ${names[goes]}, keep those in ${names[1 - goes]}`;
  }
  refresh();
  document.getElementById("clusters").scrollIntoView();
}

function closeCell() {
  filter.folders = null;
  sharing.hidden = true;
  refresh();
}

// In the listed clusters, remove the images of one folder, and keep the images of the other folder.
function removeFrom(goes) {
  const [from, into] = [filter.folders[goes], filter.folders[1 - goes]], changes = [];
  for (const cluster of view.found) {
    if (isSkipped(cluster) || isDismissed(cluster)) continue;
    const keeper = keeperOf(cluster);
    for (const image of cluster.images.filter(each => !gone.has(each))) {
      const out = liesIn(image, from, into) && data.reference[image] !== 1;
      changes.push(["choice", image, !out && (liesIn(image, into, from) || stays(image, keeper))]);
    }
  }
  decide(`remove the duplicates in ${plain(data.sharing_names[data.sharing.indexOf(from)])}`, changes);
  refresh(true);
}

for (const cell of document.querySelectorAll("[data-cell]")) {
  cell.addEventListener("click", () => openCell(Number(cell.dataset.a), Number(cell.dataset.b)));
}
document.getElementById("first-goes").addEventListener("click", () => removeFrom(0));
document.getElementById("second-goes").addEventListener("click", () => removeFrom(1));
for (const id of ["sharing-close", "clear"]) document.getElementById(id).addEventListener("click", closeCell);
