"use strict";

// Tables sort by a click on a head; a cell's data-key counts where its text would sort wrongly.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const numeric = table.tBodies[0].rows[0]?.cells[column].dataset.key !== undefined;
      const was = head.getAttribute("aria-sort");
      const first = numeric ? "descending" : "ascending";
      const order = was === first ? (numeric ? "ascending" : "descending") : first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent;
      const compare = numeric
        ? (a, b) => sign * (Number(key(a)) - Number(key(b)))
        : (a, b) => sign * key(a).localeCompare(key(b), "en", { numeric: true });
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    });
  });
}

// Code that one wants to paste elsewhere gets a button, where the browser lets a page copy.
if (navigator.clipboard) {
  for (const code of document.querySelectorAll("code.copy")) {
    const text = code.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copier";
    button.textContent = "copy";
    button.setAttribute("aria-label", "copy " + text.slice(0, 80));
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "copied";
      } catch {
        button.textContent = "not allowed";
      }
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
    code.after(button);
  }
}

// On paper everything is open, and as it was afterwards.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));
