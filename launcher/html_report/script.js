// Shows the values under the pointer, read from the table below a chart. All else works without this.
"use strict";

for (const figure of document.querySelectorAll("figure[data-left]")) {
  const drawing = figure.querySelector("svg");
  const guide = figure.querySelector(".guide");
  const readout = figure.querySelector(".readout");
  const names = [...figure.querySelectorAll("thead th")].slice(1).map((cell) => cell.textContent);
  const rows = [...figure.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
  const epochs = rows.map((row) => Number(row[0]));
  const [left, right, low, high] = ["left", "right", "low", "high"].map((name) => Number(figure.dataset[name]));

  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * drawing.viewBox.baseVal.width;
    const epoch = low + ((place - left) / (right - left)) * (high - low);
    let nearest = 0;
    epochs.forEach((each, index) => {
      if (Math.abs(each - epoch) < Math.abs(epochs[nearest] - epoch)) nearest = index;
    });
    if (!rows.length) return;
    const values = names.map((name, index) => `${name} ${rows[nearest][index + 1]}`);
    readout.textContent = `epoch ${rows[nearest][0]}: ${values.join(", ")}`;
    const at = left + ((epochs[nearest] - low) / (high - low)) * (right - left);
    guide.setAttribute("transform", `translate(${at} 0)`);
    guide.style.visibility = "visible";
  });
  drawing.addEventListener("pointerleave", () => {
    readout.textContent = "";
    guide.style.visibility = "hidden";
  });
}
