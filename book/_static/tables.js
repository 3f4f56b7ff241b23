// Long tables can be sorted: a heading is a button that sorts its column up, down, and not at all.
(() => {
  "use strict";
  const NUMBER = /^[<>[ ]*([+-]?)([\d,]*\.?\d+(?:e[+-]\d+)?)/;
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

  // `0.709 [0.630, 0.787]`, `[0.630, 0.787]`, `< 0.001`, `+0.032`, `1,200` and `12 %` by their first
  // number, a bound just below it; other text is no number
  function number(text) {
    const [, sign, digits] = NUMBER.exec(text.replaceAll("\u2212", "-")) ?? [];
    if (digits === undefined) return NaN;
    const value = Number(sign + digits.replaceAll(",", ""));
    return text.startsWith("<") ? value - 1e-9 : value;
  }

  function isUnknown(text) {
    return text === "" || text === "\u2013";
  }

  function byValue(texts) {
    const numeric = texts.every((text) => isUnknown(text) || !Number.isNaN(number(text)));
    return numeric
      ? (a, b) => number(a) - number(b)
      : (a, b) => a.localeCompare(b, "en", { numeric: true });
  }

  // stable, and what is not known comes last in either order
  function sorted(rows, column, order) {
    if (order === "none") return rows;
    const texts = new Map(rows.map((row) => [row, row.cells[column].textContent.trim()]));
    const compare = byValue([...texts.values()]);
    const sign = order === "ascending" ? 1 : -1;
    return rows.toSorted((one, other) => {
      const [a, b] = [texts.get(one), texts.get(other)];
      return isUnknown(a) - isUnknown(b) || (isUnknown(a) ? 0 : sign * compare(a, b));
    });
  }

  function addButton(head, column, heads, body, rows) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const order = NEXT[head.getAttribute("aria-sort")];
      for (const each of heads) each.setAttribute("aria-sort", each === head ? order : "none");
      body.append(...sorted(rows, column, order));
    });
  }

  // the headings are the last row of them that has texts; index levels may be named elsewhere
  function makeSortable(table) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const last = [...table.tHead.rows].findLast((row) => row.cells[row.cells.length - 1].textContent);
    const heads = [...last.cells].filter((cell) => cell.textContent.trim());
    for (const head of heads) addButton(head, head.cellIndex, heads, body, rows);
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("table.sortable").forEach(makeSortable);
  });
})();
