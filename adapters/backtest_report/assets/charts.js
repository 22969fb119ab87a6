// What both charts share: colours of the theme, keys, and the curve of the account.

const charts = [];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const fill = (name, opacity) => `rgba(${colour(name)}, ${opacity})`;

function themeOptions() {
  return {
    layout: { background: { color: colour("--surface") }, textColor: colour("--muted"), panes: { separatorColor: colour("--line") } },
    grid: { vertLines: { color: colour("--line") }, horzLines: { color: colour("--line") } },
    rightPriceScale: { borderColor: colour("--line") },
    timeScale: { borderColor: colour("--line") },
  };
}

function createChart(container, restyle) {
  const chart = LightweightCharts.createChart(container, {
    autoSize: true,
    ...themeOptions(),
    timeScale: { timeVisible: true, secondsVisible: false, minBarSpacing: 0.001, borderColor: colour("--line") },
    crosshair: { mode: LightweightCharts.CrosshairMode.Normal },
    localization: { timeFormatter: time },
  });
  container.addEventListener("keydown", (event) => moveByKey(event, chart));
  charts.push(() => { chart.applyOptions(themeOptions()); restyle(); });
  return chart;
}

function moveByKey(event, chart) {
  const scale = chart.timeScale(), range = scale.getVisibleLogicalRange();
  if (!range) return;
  const width = range.to - range.from, middle = (range.from + range.to) / 2;
  const show = (from, to) => { scale.setVisibleLogicalRange({ from, to }); event.preventDefault(); };
  switch (event.key) {
    case "ArrowLeft": return show(range.from - width / 8, range.to - width / 8);
    case "ArrowRight": return show(range.from + width / 8, range.to + width / 8);
    case "+": case "=": return show(middle - width / 3, middle + width / 3);
    case "-": return show(middle - width / 1.5, middle + width / 1.5);
    case "Home": case "End": scale.fitContent(); event.preventDefault();
  }
}

function setUpTheme() {
  const remembered = () => { try { return localStorage.getItem("shoal-theme"); } catch { return null; } };
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    charts.forEach((restyle) => restyle());
  };
  apply(remembered() || (prefersDark.matches ? "dark" : "light"));
  prefersDark.addEventListener("change", () => remembered() || apply(prefersDark.matches ? "dark" : "light"));
  $("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("shoal-theme", theme); } catch { /* a page of a file may not remember */ }
    apply(theme);
  });
}

function drawEquity(curve, format) {
  const times = curve.time, { AreaSeries, LineSeries } = LightweightCharts;
  const points = (values) => Array.from(times, (at, index) => ({ time: at, value: values[index] }));
  const chart = createChart($("equity"), () => style());
  const equity = chart.addSeries(AreaSeries, { priceFormat: { type: "custom", minMove: 0.01, formatter: (value) => format.text(value, "amount") }, priceLineVisible: false });
  const drawdown = chart.addSeries(AreaSeries, { priceFormat: { type: "custom", minMove: 0.0001, formatter: (value) => format.text(value, "percent") }, priceLineVisible: false, invertFilledArea: true }, 1);
  const style = () => {
    equity.applyOptions({ lineColor: colour("--accent"), lineWidth: 2, ...gradient("--accent") });
    drawdown.applyOptions({ lineColor: colour("--loss"), lineWidth: 1, topColor: fill("--loss-fill", 0.35), bottomColor: fill("--loss-fill", 0.05) });
  };
  style();
  equity.setData(points(curve.value));
  drawdown.setData(points(curve.drawdown));
  if (curve.compared) {
    const compared = chart.addSeries(LineSeries, { color: colour("--muted"), lineWidth: 1, priceLineVisible: false, lastValueVisible: false });
    compared.setData(points(curve.compared));
  }
  chart.panes()[0].setStretchFactor(3);
  chart.panes()[1].setStretchFactor(1);
  chart.timeScale().fitContent();

  const legend = (index) => $("equity-legend").replaceChildren(
    `${time(times[index])}  `, element("b", {}, format.text(curve.value[index], "money")), ` ${format.currency}, drawdown `, element("b", {}, format.text(curve.drawdown[index], "percent")));
  legend(times.length - 1);
  chart.subscribeCrosshairMove(({ time: at }) => legend(at === undefined ? times.length - 1 : Math.max(0, indexAbove(times, at) - 1)));

  const DAY = 86400, last = times[times.length - 1];
  for (const [name, days] of [["1M", 31], ["3M", 92], ["1Y", 366], ["All", null]]) {
    if (days !== null && last - times[0] < days * DAY) continue;
    const show = () => days === null ? chart.timeScale().fitContent() : chart.timeScale().setVisibleLogicalRange({ from: indexAbove(times, last - days * DAY), to: times.length - 1 });
    $("equity-range").append(element("button", { type: "button", class: "button", onclick: show }, name));
  }
}

// One account of many at a time, with what the median made of its capital; {names, time, values, capital, median}.
function drawCurves(curves, format, title) {
  const { AreaSeries, LineSeries } = LightweightCharts, times = curves.time;
  const points = (values) => Array.from(times, (at, index) => ({ time: at, value: values[index] }));
  const box = element("div", { class: "chart tall", tabindex: 0, role: "img", "aria-label": `${title}. Arrow keys move, plus and minus zoom.` });
  const legend = element("p", { class: "legend" });
  const choice = element("select", { class: "button", "aria-label": "Account shown" }, ...curves.names.map((name, at) => element("option", { value: at }, name)));
  const step = (by) => { choice.selectedIndex = Math.min(Math.max(choice.selectedIndex + by, 0), curves.names.length - 1); show(); };
  const buttons = element("div", { class: "buttons", role: "group", "aria-label": "Account" },
    element("button", { type: "button", class: "button", "aria-label": "Previous account", onclick: () => step(-1) }, "‹"), choice,
    element("button", { type: "button", class: "button", "aria-label": "Next account", onclick: () => step(1) }, "›"));
  const draw = () => {
    const priceFormat = { type: "custom", minMove: 0.01, formatter: (value) => format.text(value, "amount") };
    const chart = createChart(box, () => style());
    const one = chart.addSeries(AreaSeries, { priceFormat, priceLineVisible: false });
    const median = chart.addSeries(LineSeries, { priceFormat, priceLineVisible: false, lastValueVisible: false, lineWidth: 1 });
    const style = () => { one.applyOptions({ lineColor: colour("--accent"), lineWidth: 2, ...gradient("--accent") }); median.applyOptions({ color: colour("--muted") }); };
    style();
    show = () => {
      const values = curves.values[choice.selectedIndex], capital = curves.capital[choice.selectedIndex];
      median.setData(points(Array.from(curves.median, (share) => share * capital)));
      one.setData(points(values));
      legend.replaceChildren(`${curves.names[choice.selectedIndex]}: from `, element("b", {}, format.text(capital, "amount")), " to ", element("b", {}, format.text(values[values.length - 1], "amount")), ` ${format.currency}`);
    };
    choice.addEventListener("change", () => show());
    show();
    chart.timeScale().fitContent();
  };
  let show = () => {};
  return { nodes: [buttons, legend, box], draw };
}

// The chart library wants colours it can parse: a hex colour with an opacity.
function gradient(name) {
  const hex = colour(name);
  return { topColor: `${hex}47`, bottomColor: `${hex}05` };
}
