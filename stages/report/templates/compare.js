// Compare an image with its keeper: side by side, blinking, or as a difference.

const dialog = document.getElementById("compare");
const compare = {mode: "side", timer: 0};
const slow = matchMedia("(prefers-reduced-motion: reduce)");

function openCompare() {
  const cluster = view.found[view.at];
  if (!cluster) return;
  if (!dialog.open) dialog.showModal();
  const keeper = keeperOf(cluster);
  let image = cluster.images[view.image];
  if (image === keeper) {
    view.image = cluster.images.findIndex(each => each !== keeper);
    image = cluster.images[view.image];
  }
  const shape = [data.width[keeper], data.height[keeper]], turn = turnBetween(keeper, image);
  show(document.getElementById("left"), keeper, 0, ["keeper", reasonOf(keeper)].filter(Boolean).join(": "), shape);
  show(document.getElementById("right"), image, turn, distanceTo(keeper, image), turn % 180 ? shape.reverse() : shape);
  document.getElementById("who").textContent = [`Cluster ${cluster.number}: image ${view.image + 1} of `
    + cluster.images.length, plain(data.name[image]), distanceTo(keeper, image)].filter(Boolean).join(" · ");
  const goes = document.getElementById("goes-this"), kept = stays(image, keeper);
  goes.textContent = kept ? "keep (x)" : "remove (x)";
  goes.setAttribute("aria-pressed", String(kept));
  goes.disabled = data.reference[image] === 1;
  setMode(compare.mode);
}

// `shape`: the keeper's width and height. Both images get this shape to blink and to subtract, as their thumbnails do.
function show(figure, image, turn, said, [width, height]) {
  const shown = figure.querySelector("img"), original = originalOf(image);
  const preview = data.preview[image] ? previewOf(image) : "";
  shown.parentElement.classList.remove("gone");
  shown.onerror = () => {
    if (preview && !shown.src.endsWith(preview)) shown.src = preview;
    else shown.parentElement.classList.add("gone");
  };
  shown.src = original || previewOf(image);
  shown.alt = plain(data.name[image]);
  shown.style.setProperty("--wide", width / Math.max(width, height));
  shown.style.setProperty("--high", height / Math.max(width, height));
  shown.style.transform = turn ? `rotate(${-turn}deg)` : "";
  figure.querySelector(".path").textContent = plain(pathOf(image));
  figure.querySelector(".facts").textContent = [said, allFactsOf(image)].filter(Boolean).join(" · ");
}

function setMode(mode) {
  compare.mode = mode;
  clearInterval(compare.timer);
  const stage = document.getElementById("stage");
  stage.className = mode;
  if (mode === "blink" && !slow.matches) compare.timer = setInterval(() => stage.classList.toggle("second"), 600);
  for (const each of dialog.querySelectorAll("[data-mode]")) each.setAttribute("aria-pressed", String(each.dataset.mode === mode));
}

function step(by) {
  const cluster = view.found[view.at], keeper = keeperOf(cluster), count = cluster.images.length;
  let image = view.image;
  do image = (image + by + count) % count; while (cluster.images[image] === keeper);
  go(view.at, image);
  openCompare();
}
