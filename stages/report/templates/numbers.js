// Numbers as text.

const grouped = number => number.toLocaleString("en-US");
const counted = (count, noun) => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
function humanBytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
  let size = count, unit = 0;
  while (size >= 999.95 && unit < units.length - 1) { size /= 1000; unit++; }
  return unit ? `${size.toFixed(1)} ${units[unit]}` : `${count} bytes`;
}
const round = (value, digits) => value === Math.round(value) ? grouped(value) : String(Number(value.toPrecision(digits)));
const humanMse = value => value >= 10 ? value.toLocaleString("en-US", {maximumFractionDigits: 1}) : round(value, 2);
const humanFigure = value => data.column === "mse" ? humanMse(value) : value >= 1000 ? grouped(Math.round(value)) : round(value, 3);
