// Small tools for drawing in SVG and for writing numbers; used by both pages.

const SVG = "http://www.w3.org/2000/svg";

/** A new SVG element with its attributes; `inside` is text, an element, or several. */
export function svg(tag, attributes = {}, ...inside) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inside);
  return made;
}

/** A new HTML element; attributes are set as such, never parsed. */
export function html(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inside);
  return made;
}

/** A number for people: up to three digits that count, an exponent only where it would be very long. */
export function say(value) {
  if (!Number.isFinite(value)) return "no number";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e6 || size < 1e-4) return minus(value.toExponential(1).replace("e+", "e"));
  if (size >= 100) return minus(Math.round(value).toLocaleString("en-GB"));
  return minus(value.toPrecision(size >= 0.001 ? 3 : 2));
}

/** Two places, as the curves and tables of the notebooks have them. */
export function two(value) {
  return value === null || value === undefined ? "no number" : minus(value.toFixed(2));
}

const minus = (text) => text.replaceAll("-", "−");

/** Round numbers between two ends, about `count` of them. */
export function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const found = [];
  // Adding 0 makes a plain zero of a negative one.
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high * (1 + 1e-9); at += 1) found.push(at * step + 0);
  return found;
}

/** A tick's number without the noise of floating point; long powers of ten as such. */
export function tickText(value) {
  const power = Math.log10(value);
  if (Math.abs(power) >= 4 && Math.abs(power - Math.round(power)) < 1e-9) {
    return `10${[...String(Math.round(power))].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit] ?? "⁻").join("")}`;
  }
  return minus(String(Number(value.toPrecision(6))));
}

/** The path attribute of a line through points [x, y] in pixels; null in place of a point breaks the line. */
export function linePath(points) {
  let drawing = false;
  let path = "";
  for (const point of points) {
    if (point === null) {
      drawing = false;
    } else {
      path += `${drawing ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
      drawing = true;
    }
  }
  return path;
}
