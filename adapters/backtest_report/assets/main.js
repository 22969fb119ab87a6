// Puts the page together. What the result does not have is not shown.

function fillHead(result, format) {
  $("kind").textContent = result.kind;
  $("title").textContent = result.title;
  $("subtitle").textContent = result.subtitle;
  $("badges").append(...result.badges.map(({ text, warning }) => element("li", { class: warning ? "warning" : "" }, text)));
  $("synthetic").textContent = result.synthetic || "";
  $("synthetic").hidden = !result.synthetic;
  $("cards").append(...result.cards.map(({ label, value, kind, note, signed }) => element("div", { class: "card" },
    element("dt", {}, label), element("dd", { class: signed ? toneOf(value) : "" }, format.text(value, kind)), note ? element("dd", { class: "note" }, note) : null)));
}

function tradesOf(table) {
  const column = (key) => table.columns.find((candidate) => candidate.key === key);
  const values = (key) => column(key).values, side = column("side");
  return {
    count: table.count, onChart: table.on_chart, entryTime: values("entry_time"), exitTime: values("exit_time"), entryPrice: values("entry_price"),
    exitPrice: values("exit_price"), net: values("net"), quantity: values("quantity"), side: (row) => side.names[side.values[row]],
  };
}

const without = (id) => $(id).closest("section").remove();

function draw(result) {
  const format = new Format(result.currency, result.digits);
  fillHead(result, format);
  drawExtra(result.sections, format);
  if (result.kind === "sweep" || result.kind === "walk-forward") $("cards").closest("section").after($("extra")); // what was searched comes before what was traded
  if (result.equity) drawEquity(result.equity, format); else without("equity");
  let view = null;
  if (result.bars) view = new CandleView(result.bars, tradesOf(result.trades), format); else without("candles");
  if (result.months.length) drawMonths(result.months, format); else without("months");
  if (result.distribution.length) drawDistribution(result.distribution, format); else without("distribution");
  if (result.breakdown.length) drawBreakdown(result.breakdown, format); else without("breakdown");
  const goTo = view && ((trade) => { view.goTo(trade); $("candles-section").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" }); $("candles").focus({ preventScroll: true }); });
  if (result.trades) new TradeTable(result.trades, format, goTo); else without("trades");
  if (result.statistics.length) $("statistics").append(pairs(result.statistics, format)); else without("statistics");
  $("parameters").append(pairs(result.parameters, format));
  $("assumptions").append(...result.assumptions.map((text) => element("li", {}, text)));
  drawQuality(result.quality);
  Object.assign(document.documentElement.dataset, { bars: view ? view.bars.time.length : 0, trades: result.trades ? result.trades.count : 0 });
}

function fail(error) {
  document.documentElement.dataset.failed = String(error);
  $("loading").textContent = `The report could not be drawn: ${error}`;
  console.error(error);
}

addEventListener("error", (event) => fail(event.message));
setUpTheme();
readResult().then(draw).then(() => {
  $("loading").remove();
  document.documentElement.dataset.ready = "true";
}).catch(fail);
