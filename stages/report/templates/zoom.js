// Zoom and pan of both compared images at once: wheel, pinch, drag, keys; a double click shows 100 %.

const zoom = {scale: 1, x: 0, y: 0, pointers: new Map()};  // x, y: offset of the centre, in pixels of the screen
const MOST_ZOOM = 64;

function drawZoom() {
  for (const name of ["scale", "x", "y"]) stage.style.setProperty(`--zoom-${name}`, name === "scale" ? zoom.scale : `${zoom[name]}px`);
  byId("zoom-said").textContent = `${Math.round(100 * zoom.scale * shownScale())} %`;
}
// Pixels of the screen for a pixel of the larger image, before zooming.
function shownScale() {
  const shown = [...stage.querySelectorAll("img")].filter(img => img.naturalWidth);
  const scales = shown.map(img => {
    const {width, height} = img.parentElement.getBoundingClientRect();
    return Math.min(width, height) * devicePixelRatio / Math.max(img.naturalWidth, img.naturalHeight);
  });
  return scales.length ? Math.min(...scales) : 1;
}

function resetZoom() {
  Object.assign(zoom, {scale: 1, x: 0, y: 0});
  drawZoom();
}

// Zoom by a factor around the point (x, y), measured from the centre of the image's box.
function zoomBy(factor, x = 0, y = 0) {
  const scale = Math.max(1, Math.min(MOST_ZOOM, zoom.scale * factor)), by = scale / zoom.scale;
  zoom.x = scale === 1 ? 0 : x - (x - zoom.x) * by;
  zoom.y = scale === 1 ? 0 : y - (y - zoom.y) * by;
  zoom.scale = scale;
  drawZoom();
}
function zoomFull(x = 0, y = 0) {
  const full = 1 / shownScale();
  if (Math.abs(zoom.scale - full) < 0.01 || full <= 1) resetZoom();
  else zoomBy(full / zoom.scale, x, y);
}

// The position of an event, measured from the centre of the box around the event.
function fromCentre({clientX, clientY}) {
  const boxes = [...stage.querySelectorAll(".box")].map(box => box.getBoundingClientRect());
  const inside = boxes.find(box => clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom) ?? boxes[0];
  return [clientX - inside.left - inside.width / 2, clientY - inside.top - inside.height / 2];
}

function moved(event) {
  const before = zoom.pointers.get(event.pointerId);
  if (!before) return;
  const others = [...zoom.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
  zoom.pointers.set(event.pointerId, event);
  if (!others.length) {
    if (zoom.scale === 1) return;
    zoom.x += event.clientX - before.clientX;
    zoom.y += event.clientY - before.clientY;
    return drawZoom();
  }
  const far = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1;
  const middle = {clientX: (event.clientX + others[0].clientX) / 2, clientY: (event.clientY + others[0].clientY) / 2};
  zoomBy(far(event, others[0]) / far(before, others[0]), ...fromCentre(middle));
}

function connectZoom() {
  stage.addEventListener("wheel", event => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), ...fromCentre(event));
  }, {passive: false});
  stage.addEventListener("dblclick", event => zoomFull(...fromCentre(event)));
  stage.addEventListener("pointerdown", event => {
    if (event.target.closest("input, button")) return;
    zoom.pointers.set(event.pointerId, event);
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", moved);
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, event => zoom.pointers.delete(event.pointerId));
  stage.addEventListener("click", () => { if (compare.mode === "blink") stage.classList.toggle("second"); });
  for (const img of stage.querySelectorAll("img")) img.addEventListener("load", drawZoom);
  byId("zoom-in").addEventListener("click", () => zoomBy(1.25));
  byId("zoom-out").addEventListener("click", () => zoomBy(0.8));
  byId("zoom-full").addEventListener("click", () => zoomFull());
  byId("zoom-fit").addEventListener("click", resetZoom);
}
