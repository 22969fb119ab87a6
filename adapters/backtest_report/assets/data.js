// Reading the result out of the page, and writing its values for people.

const $ = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") node.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// The result is base64 of zlib of: byte length of the JSON (uint32), the JSON, padding to 8 bytes, then the arrays it
// refers to as {"$array": [offset, length, type]}.
async function readResult() {
  const bytes = Uint8Array.from(atob($("data").textContent.trim()), (character) => character.charCodeAt(0));
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(inflated).arrayBuffer();
  const jsonLength = new DataView(buffer).getUint32(0, true);
  const arraysAt = 8 * Math.ceil((4 + jsonLength) / 8);
  const types = { i1: Int8Array, i2: Int16Array, i4: Int32Array, f8: Float64Array };
  return JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, jsonLength)), (_, value) =>
    value && value.$array ? new types[value.$array[2]](buffer, arraysAt + value.$array[0], value.$array[1]) : value);
}

function summed(differences) {
  const sums = new Int32Array(differences.length);
  let sum = 0;
  for (let at = 0; at < sums.length; at++) sums[at] = sum += differences[at];
  return sums;
}

// Times are seconds of the exchange's wall clock, counted as if it were UTC.
const twoDigits = (number) => String(number).padStart(2, "0");
function time(seconds) {
  const at = new Date(seconds * 1000);
  return `${at.getUTCFullYear()}-${twoDigits(at.getUTCMonth() + 1)}-${twoDigits(at.getUTCDate())} ${twoDigits(at.getUTCHours())}:${twoDigits(at.getUTCMinutes())}`;
}

function duration(seconds) {
  const minutes = Math.round(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (days > 0) return `${days} d ${hours % 24} h`;
  return hours > 0 ? `${hours} h ${twoDigits(minutes % 60)} min` : `${minutes} min`;
}

class Format {
  constructor(currency, digits) {
    const locale = currency === "INR" ? "en-IN" : "en-US";
    const numbers = (fewest, most) => new Intl.NumberFormat(locale, { minimumFractionDigits: fewest, maximumFractionDigits: most });
    this.currency = currency;
    this.formats = {
      money: numbers(2, 2), amount: numbers(0, 0), price: numbers(digits, digits), number: numbers(0, 8), ratio: numbers(2, 2), integer: numbers(0, 0), precise: numbers(4, 4),
    };
    this.shortMoney = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
  }

  // A value that does not exist (no trade, no loss to divide by) is a dash.
  text(value, kind) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (kind === "text" || typeof value === "string") return String(value);
    if (value === Infinity || value === -Infinity) return value > 0 ? "∞" : "−∞";
    if (kind === "time") return time(value);
    if (kind === "day") return time(value).slice(0, 10);
    if (kind === "duration") return duration(value);
    const text = kind === "percent" ? `${this.formats.ratio.format(100 * value)} %` : this.formats[kind].format(value);
    return text.replace("-", "−");
  }
}

const toneOf = (value) => (value > 0 ? "gain" : value < 0 ? "loss" : "");

// First index whose value is above `value`, in an ascending array.
function indexAbove(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] > value) high = middle; else low = middle + 1;
  }
  return low;
}
