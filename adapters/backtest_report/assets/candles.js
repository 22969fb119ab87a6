// Candles at several lengths, with the trades that are in view. Only a window of a long series is handed to the chart.

const WINDOW_BARS = 100000, TRADES_DRAWN_MAX = 300, TRADES_NAMED_MAX = 40;
const FRAMES = [[60, "1m"], [180, "3m"], [300, "5m"], [900, "15m"], [1800, "30m"], [3600, "1h"], [14400, "4h"], [86400, "1d"]];

function unpackBars(bars) {
  const time = summed(bars.time), close = summed(bars.close), count = time.length;
  const unpacked = { time, open: new Float64Array(count), high: new Float64Array(count), low: new Float64Array(count), close: new Float64Array(count) };
  for (let at = 0; at < count; at++) {
    const open = (at ? close[at - 1] : 0) + bars.open[at];
    unpacked.open[at] = open / bars.scale;
    unpacked.close[at] = close[at] / bars.scale;
    unpacked.high[at] = (Math.max(open, close[at]) + bars.high[at]) / bars.scale;
    unpacked.low[at] = (Math.min(open, close[at]) - bars.low[at]) / bars.scale;
  }
  return unpacked;
}

// Frames are counted from each day's first bar; a day is one bar.
function aggregated(bars, seconds) {
  const frames = { time: [], open: [], high: [], low: [], close: [] };
  let day = NaN, dayStart = 0, frame = NaN, last = -1;
  for (let at = 0; at < bars.time.length; at++) {
    const now = bars.time[at], today = Math.floor(now / 86400);
    if (today !== day) { day = today; dayStart = now; frame = NaN; }
    const number = seconds >= 86400 ? 0 : Math.floor((now - dayStart) / seconds);
    if (number !== frame) {
      frame = number;
      last = frames.time.push(seconds >= 86400 ? today * 86400 : dayStart + number * seconds) - 1;
      frames.open.push(bars.open[at]); frames.high.push(bars.high[at]); frames.low.push(bars.low[at]); frames.close.push(bars.close[at]);
    } else {
      frames.high[last] = Math.max(frames.high[last], bars.high[at]);
      frames.low[last] = Math.min(frames.low[last], bars.low[at]);
      frames.close[last] = bars.close[at];
    }
  }
  return frames;
}

// A line from entry to exit, coloured by what the trade made.
class TradeLines {
  constructor() { this.lines = []; }
  attached({ chart, requestUpdate }) { this.chart = chart; this.requestUpdate = requestUpdate; }
  show(lines) { this.lines = lines; this.requestUpdate?.(); }
  updateAllViews() {}
  paneViews() { return [{ zOrder: () => "top", renderer: () => ({ draw: (target) => this.draw(target) }) }]; }
  draw(target) {
    const scale = this.chart.timeScale();
    target.useMediaCoordinateSpace(({ context }) => {
      context.lineWidth = 1.5;
      context.setLineDash([4, 3]);
      for (const { from, to, stroke, y } of this.lines) {
        const [x1, x2] = [scale.timeToCoordinate(from.time), scale.timeToCoordinate(to.time)], [y1, y2] = [y(from.price), y(to.price)];
        if (x1 === null || x2 === null || y1 === null || y2 === null) continue;
        context.strokeStyle = stroke;
        context.beginPath(); context.moveTo(x1, y1); context.lineTo(x2, y2); context.stroke();
      }
    });
  }
}

class CandleView {
  constructor(packed, trades, format) {
    this.bars = unpackBars(packed);
    this.trades = trades;
    this.format = format;
    this.frames = new Map([[packed.seconds, this.bars]]);
    this.current = -1;
    this.chart = createChart($("candles"), () => { this.style(); this.drawTrades(); });
    this.series = this.chart.addSeries(LightweightCharts.CandlestickSeries, { priceFormat: { type: "price", precision: packed.digits, minMove: 10 ** -packed.digits }, priceLineVisible: false });
    this.style();
    this.markers = LightweightCharts.createSeriesMarkers(this.series, []);
    this.lines = new TradeLines();
    this.series.attachPrimitive(this.lines);
    this.chart.subscribeCrosshairMove(({ time: at }) => this.legend(at));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => this.moved(range));
    for (const [seconds, name] of FRAMES) {
      if (seconds < packed.seconds || (seconds % packed.seconds && seconds !== 86400)) continue;
      $("resolution").append(element("button", { type: "button", class: "button", "data-seconds": seconds, onclick: () => this.choose(seconds) }, name));
    }
    $("previous-trade").addEventListener("click", () => this.step(-1));
    $("next-trade").addEventListener("click", () => this.step(1));
    this.show(packed.seconds, this.bars.time[Math.max(0, this.bars.time.length - 90)], 180);
    if (trades.count) this.goTo(trades.count - 1);
  }

  style() {
    const [gain, loss] = [colour("--gain"), colour("--loss")];
    this.series.applyOptions({ upColor: gain, wickUpColor: gain, borderUpColor: gain, downColor: loss, wickDownColor: loss, borderDownColor: loss });
  }

  choose(seconds) {
    const range = this.chart.timeScale().getVisibleRange();
    this.show(seconds, range ? (range.from + range.to) / 2 : this.bars.time[0], 180);
  }

  // Show about `width` bars round `middle`.
  show(seconds, middle, width) {
    if (!this.frames.has(seconds)) this.frames.set(seconds, aggregated(this.bars, seconds));
    this.seconds = seconds;
    this.shown = this.frames.get(seconds);
    const at = Math.max(0, indexAbove(this.shown.time, middle) - 1);
    this.load(at);
    const to = Math.min(at - this.first + width / 2, this.end - this.first + 4);
    this.chart.timeScale().setVisibleLogicalRange({ from: to - width, to });
    for (const button of $("resolution").children) button.setAttribute("aria-pressed", String(Number(button.dataset.seconds) === seconds));
    this.drawTrades();
    this.legend();
  }

  load(middle) {
    const { time, open, high, low, close } = this.shown;
    this.first = Math.max(0, Math.min(middle - WINDOW_BARS / 2, time.length - WINDOW_BARS));
    this.end = Math.min(time.length, this.first + WINDOW_BARS);
    const bars = new Array(this.end - this.first);
    for (let at = this.first; at < this.end; at++) bars[at - this.first] = { time: time[at], open: open[at], high: high[at], low: low[at], close: close[at] };
    this.loading = true;
    this.series.setData(bars);
    this.loading = false;
  }

  moved(range) {
    if (!range || this.loading) return;
    const before = range.from < 50 && this.first > 0, after = range.to > this.end - this.first - 50 && this.end < this.shown.time.length;
    if (before || after) {
      const offset = this.first;
      this.load(Math.round(offset + (range.from + range.to) / 2));
      this.chart.timeScale().setVisibleLogicalRange({ from: range.from + offset - this.first, to: range.to + offset - this.first });
    }
    cancelAnimationFrame(this.pending);
    this.pending = requestAnimationFrame(() => this.drawTrades());
  }

  barAt(seconds) {
    return Math.max(this.first, Math.min(this.end - 1, indexAbove(this.shown.time, seconds) - 1));
  }

  // A contract's own price is not on the scale of its underlying: such a trade is drawn at the candle's close.
  priceAt(trade, column, bar) {
    return this.trades.onChart ? this.trades[column][trade] : this.shown.close[bar];
  }

  drawTrades() {
    const range = this.chart.timeScale().getVisibleLogicalRange(), { entryTime, exitTime, count } = this.trades;
    if (!range || !count) return;
    const clip = (index) => this.shown.time[Math.max(this.first, Math.min(this.end - 1, Math.round(index) + this.first))];
    const from = clip(range.from), to = clip(range.to) + this.seconds;
    const visible = [];
    const start = Math.max(0, indexAbove(entryTime, from) - 1);
    for (let trade = start; trade < count && entryTime[trade] < to; trade++) if (exitTime[trade] >= from) visible.push(trade);
    const tooMany = visible.length > TRADES_DRAWN_MAX;
    $("candles-note").textContent = tooMany
      ? `${this.format.text(visible.length, "integer")} trades are in view: zoom in to see entries and exits.`
      : `${this.format.text(visible.length, "integer")} ${visible.length === 1 ? "trade" : "trades"} in view.${this.trades.onChart ? "" : " Trades are in contracts of their own price and are drawn at the candle's close."}`;
    this.mark(tooMany ? [] : visible);
  }

  mark(visible) {
    const { entryTime, exitTime, net, side, quantity } = this.trades, named = visible.length <= TRADES_NAMED_MAX;
    const [gain, loss, accent] = [colour("--gain"), colour("--loss"), colour("--accent")];
    const markers = [], lines = [];
    const y = (price) => this.series.priceToCoordinate(price);
    for (const trade of visible) {
      const long = side(trade) === "LONG", entry = this.barAt(entryTime[trade]), exit = this.barAt(exitTime[trade]);
      const outcome = net[trade] >= 0 ? gain : loss;
      const [entryBar, exitBar] = [this.shown.time[entry], this.shown.time[exit]];
      markers.push({ time: entryBar, position: long ? "belowBar" : "aboveBar", shape: long ? "arrowUp" : "arrowDown", color: accent, text: named ? `${long ? "long" : "short"} ${this.format.text(quantity[trade], "number")}` : "" });
      markers.push({ time: exitBar, position: long ? "aboveBar" : "belowBar", shape: "square", size: 0.6, color: outcome, text: named ? this.format.text(net[trade], "amount") : "" });
      lines.push({ from: { time: entryBar, price: this.priceAt(trade, "entryPrice", entry) }, to: { time: exitBar, price: this.priceAt(trade, "exitPrice", exit) }, stroke: outcome, y });
    }
    this.markers.setMarkers(markers.sort((one, other) => one.time - other.time));
    this.lines.show(lines);
  }

  step(by) {
    if (this.trades.count) this.goTo((this.current + by + this.trades.count) % this.trades.count);
  }

  goTo(trade) {
    this.current = trade;
    const { entryTime, exitTime, count } = this.trades, length = (exitTime[trade] - entryTime[trade]) / this.seconds;
    const middle = (entryTime[trade] + exitTime[trade]) / 2;
    this.show(this.seconds, middle, Math.max(120, Math.min(2 * length, 2000)));
    $("trade-position").textContent = `trade ${this.format.text(trade + 1, "integer")} of ${this.format.text(count, "integer")}`;
  }

  legend(at) {
    const bar = at === undefined ? this.end - 1 : this.barAt(at), format = this.format;
    const parts = ["open", "high", "low", "close"].flatMap((name) => [` ${name} `, element("b", {}, format.text(this.shown[name][bar], "price"))]);
    $("candles-legend").replaceChildren(`${time(this.shown.time[bar])} `, ...parts);
  }
}
