// Heat maps, tables and the histogram.

function heatCell(value, largest, text) {
  if (value === null || Number.isNaN(value)) return element("td", {}, "");
  const opacity = 0.08 + 0.6 * Math.min(1, Math.abs(value) / (largest || 1));
  const cell = element("td", {}, text);
  cell.style.background = fill(value < 0 ? "--loss-fill" : "--gain-fill", opacity.toFixed(3));
  return cell;
}

function drawMonths(years, format) {
  const names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const largest = Math.max(...years.flatMap(({ months }) => months.filter((value) => value !== null).map(Math.abs)), 0);
  const draw = () => {
    const rows = years.map(({ year, months, total }) => {
      const sum = element("td", { class: `total ${toneOf(total)}` }, format.text(total, "percent"));
      return element("tr", {}, element("th", { scope: "row" }, String(year)), ...months.map((value) => heatCell(value, largest, format.text(value, "percent"))), sum);
    });
    $("months").replaceChildren(
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Year"), ...names.map((name) => element("th", { scope: "col" }, name)), element("th", { scope: "col" }, "Total"))),
      element("tbody", {}, ...rows));
  };
  draw();
  charts.push(draw);
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function drawDistribution(bins, format) {
  const width = 560, height = 240, bottom = 22, top = 14, highest = Math.max(...bins.map(({ count }) => count));
  const first = bins[0].from, last = bins[bins.length - 1].to, x = (value) => ((value - first) / (last - first || 1)) * width;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "bars", role: "img", "aria-label": `Histogram of net results of trades, ${bins.length} bins` });
  for (const { from, to, count } of bins) {
    const tall = count ? Math.max(1.5, (count / highest) * (height - bottom - top)) : 0;
    const label = `${format.text(from, "amount")} to ${format.text(to, "amount")}: ${format.text(count, "integer")} trades`;
    picture.append(svg("rect", { x: x(from) + 0.5, y: height - bottom - tall, width: Math.max(1, x(to) - x(from) - 1), height: tall, class: (from + to) / 2 < 0 ? "loss" : "gain", rx: 1 }, svg("title", {}, label)));
  }
  picture.append(svg("line", { x1: 0, x2: width, y1: height - bottom, y2: height - bottom, class: "axis" }));
  if (first < 0 && last > 0) picture.append(svg("line", { x1: x(0), x2: x(0), y1: 0, y2: height - bottom, class: "zero" }));
  const label = (value, anchor) => picture.append(svg("text", { x: x(value), y: height - 6, "text-anchor": anchor }, format.text(value, "amount")));
  label(first, "start");
  label(last, "end");
  if (first < 0 && last > 0 && x(0) > 70 && x(0) < width - 70) label(0, "middle");
  picture.append(svg("text", { x: 0, y: 11 }, `up to ${format.text(highest, "integer")} trades per bin`));
  $("distribution").replaceChildren(picture);
}

function pairs(rows, format) {
  const cells = ({ label, value, kind }) => element("tr", {}, element("th", { scope: "row" }, label), element("td", { class: kind === "text" ? "wrap" : "" }, format.text(value, kind)));
  return element("table", { class: "pairs" }, element("tbody", {}, ...rows.map(cells)));
}

// A table of {columns: [{label, kind, signed}], rows: [[…]]}.
function plainTable({ columns, rows }, format) {
  const side = (kind) => (kind === "text" ? "text" : "");
  const cell = (value, { kind, signed }) => element("td", { class: `${side(kind)} ${signed ? toneOf(value) : ""}` }, format.text(value, kind));
  return element("table", { class: "data" },
    element("thead", {}, element("tr", {}, ...columns.map(({ label, kind }) => element("th", { scope: "col", class: side(kind) }, label)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((value, at) => cell(value, columns[at]))))));
}

function drawBreakdown(groups, format) {
  const show = (chosen) => {
    const { rows } = groups[chosen], largest = Math.max(...rows.map(({ net }) => Math.abs(net)), 0);
    const bar = (value) => {
      const part = element("i", {}), share = largest ? (50 * Math.abs(value)) / largest : 0;
      part.style.cssText = `width:${share}%;${value < 0 ? "right" : "left"}:50%;background:${colour(value < 0 ? "--loss" : "--gain")}`;
      return element("span", { class: "track", "aria-hidden": "true" }, part);
    };
    const line = ({ name, trades, win_rate, net, average, profit_factor }) => element("tr", {},
      element("th", { scope: "row", class: "text" }, name), element("td", {}, format.text(trades, "integer")), element("td", {}, format.text(win_rate, "percent")),
      element("td", { class: toneOf(net) }, format.text(net, "amount")), element("td", {}, bar(net)), element("td", { class: toneOf(average) }, format.text(average, "money")), element("td", {}, format.text(profit_factor, "ratio")));
    const heads = [groups[chosen].name, "Trades", "Win rate", "Net", "", "Average", "Profit factor"];
    $("breakdown").replaceChildren(
      element("thead", {}, element("tr", {}, ...heads.map((name, at) => element("th", { scope: "col", class: at ? "" : "text" }, name)))),
      element("tbody", {}, ...rows.map(line)));
    [...$("breakdown-tabs").children].forEach((button, at) => button.setAttribute("aria-pressed", String(at === chosen)));
    return chosen;
  };
  let chosen = 0;
  $("breakdown-tabs").append(...groups.map(({ name }, at) => element("button", { type: "button", class: "button", onclick: () => { chosen = show(at); } }, name)));
  show(0);
  charts.push(() => show(chosen));
}

function drawQuality({ summary, notes, findings }) {
  const found = findings.length
    ? element("div", { class: "scroll" }, element("table", { class: "data" },
      element("thead", {}, element("tr", {}, ...["Finding", "Count", "Became", "First examples"].map((name, at) => element("th", { scope: "col", class: at === 1 ? "" : "text" }, name)))),
      element("tbody", {}, ...findings.map(({ problem, count, action, examples }) => element("tr", {}, element("td", { class: "text" }, problem), element("td", {}, String(count)), element("td", { class: "text" }, action), element("td", { class: "text small muted" }, examples.join("; ")))))))
    : element("p", {}, "Nothing was wrong with the data.");
  $("quality").replaceChildren(element("p", {}, summary), ...notes.map((note) => element("p", { class: "muted small" }, note)), found);
}

function drawExtra(sections, format) {
  for (const { title, note, curves, heat, table } of sections) {
    const panel = element("section", { class: "panel" }, element("h2", {}, title));
    if (note) panel.append(element("p", { class: "muted" }, note));
    const chart = curves ? drawCurves(curves, format, title) : null;
    if (chart) panel.append(...chart.nodes);
    if (heat) panel.append(element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, heatTable(heat, format)));
    if (table) panel.append(element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, plainTable(table, format)));
    $("extra").append(panel);
    if (chart) chart.draw();
  }
}

function heatTable({ x, y, values, kind }, format) {
  const table = element("table", { class: "heat" }), largest = Math.max(...values.flat().filter((value) => value !== null).map(Math.abs), 0);
  const draw = () => table.replaceChildren(
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, `${y.label} ↓  ${x.label} →`), ...x.values.map((value) => element("th", { scope: "col" }, String(value))))),
    element("tbody", {}, ...values.map((row, at) => element("tr", {}, element("th", { scope: "row" }, String(y.values[at])), ...row.map((value) => heatCell(value, largest, value === null ? "" : format.text(value, kind)))))));
  draw();
  charts.push(draw);
  return table;
}
