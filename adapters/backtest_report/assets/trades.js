// The trade table: sorted by any column, filtered, a page at a time.

const PAGE_ROWS = 25;

class TradeTable {
  constructor({ count, columns }, format, goTo) {
    Object.assign(this, { count, columns, format, goTo, page: 0, sorted: 0, ascending: true });
    this.rows = Array.from({ length: count }, (_, at) => at);
    const head = (column, at) => element("th", { scope: "col", class: column.kind === "text" ? "text" : "" }, element("button", { type: "button", onclick: () => this.sort(at) }, column.label));
    this.heads = columns.map(head);
    this.body = element("tbody");
    $("trades").replaceChildren(element("caption", { class: "hidden" }, "Every trade; activate a column's name to sort by it."), element("thead", {}, element("tr", {}, ...this.heads)), this.body);
    $("filter").addEventListener("input", () => this.filter($("filter").value));
    const turn = { "first-page": () => 0, "previous-page": () => this.page - 1, "next-page": () => this.page + 1, "last-page": () => this.pages - 1 };
    for (const [id, page] of Object.entries(turn)) $(id).addEventListener("click", () => { this.page = page(); this.draw(); });
    this.draw();
  }

  get pages() { return Math.max(1, Math.ceil(this.rows.length / PAGE_ROWS)); }

  value(column, row) {
    return column.names ? column.names[column.values[row]] : column.values[row];
  }

  sort(at) {
    this.ascending = at === this.sorted ? !this.ascending : true;
    this.sorted = at;
    const column = this.columns[at], sign = this.ascending ? 1 : -1;
    this.rows.sort((one, other) => {
      const [left, right] = [this.value(column, one), this.value(column, other)];
      return left === right || (left !== left && right !== right) ? one - other : sign * (left > right || left !== left ? 1 : -1);
    });
    this.page = 0;
    this.draw();
  }

  filter(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean), searched = this.columns.filter(({ kind }) => kind === "text" || kind === "time");
    const matches = (row) => { const line = searched.map((column) => this.format.text(this.value(column, row), column.kind)).join(" ").toLowerCase(); return words.every((word) => line.includes(word)); };
    this.rows = Array.from({ length: this.count }, (_, at) => at).filter(matches);
    this.ascending = !this.ascending;
    this.sort(this.sorted);
  }

  draw() {
    const first = this.page * PAGE_ROWS, shown = this.rows.slice(first, first + PAGE_ROWS);
    this.heads.forEach((head, at) => at === this.sorted ? head.setAttribute("aria-sort", this.ascending ? "ascending" : "descending") : head.removeAttribute("aria-sort"));
    this.body.replaceChildren(...shown.map((row) => element("tr", {}, ...this.columns.map((column, at) => this.cell(column, at, row)))));
    const total = this.rows.length === this.count ? "" : ` (of ${this.format.text(this.count, "integer")})`;
    $("page").textContent = `page ${this.page + 1} of ${this.pages}, ${this.format.text(this.rows.length, "integer")} trades${total}`;
    for (const id of ["first-page", "previous-page"]) $(id).disabled = this.page === 0;
    for (const id of ["next-page", "last-page"]) $(id).disabled = this.page >= this.pages - 1;
  }

  cell(column, at, row) {
    const value = this.value(column, row), text = this.format.text(value, column.kind);
    const tone = column.signed ? toneOf(value) : "";
    const content = at === 0 && this.goTo ? element("button", { type: "button", class: "jump", title: "Show on the chart", onclick: () => this.goTo(row) }, text) : text;
    return element("td", { class: `${column.kind === "text" ? "text" : ""} ${tone}` }, content);
  }
}
