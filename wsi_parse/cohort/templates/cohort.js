"use strict";
// Sorts and filters the table of slides; the pictures below follow the filter. The page is whole without it.
(() => {
  const table = document.getElementById("table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const pictures = new Map([...document.querySelectorAll("figure[data-row]")].map((one) => [one.dataset.row, one]));
  const search = document.getElementById("search");
  const kind = document.getElementById("kind");
  const group = document.getElementById("group");
  const shown = document.getElementById("shown");

  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const fits = words.get(row).includes(wanted)
        && (!kind.value || row.dataset.kinds.split(" ").includes(kind.value))
        && (!group || !group.value || row.dataset.group === group.value);
      row.hidden = !fits;
      const picture = pictures.get(row.dataset.row);
      if (picture) picture.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
  };
  for (const one of [search, kind, group]) if (one) one.addEventListener("input", filter);

  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
  };
  const compare = (one, other) => {
    // What is empty comes last, whatever the direction.
    const [a, b] = [Number(one), Number(other)];
    return Number.isNaN(a) || Number.isNaN(b) ? one.localeCompare(other, "en", { numeric: true }) : a - b;
  };
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const head = button.closest("th");
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const keyed = rows.map((row) => [value(row, head.cellIndex), row]);
    keyed.sort(([a], [b]) => (a === "") - (b === "") || (a === "" ? 0 : (up ? 1 : -1) * compare(a, b)));
    body.append(...keyed.map(([, row]) => row));
  });
  document.getElementById("filters").hidden = false;
  filter();
})();
