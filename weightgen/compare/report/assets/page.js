"use strict";
// The charts are drawn already: this hides and shows them, and reads values off the data beside them.
for (const race of document.querySelectorAll(".race")) {
  const data = JSON.parse(race.querySelector("script.results").textContent);
  const charts = race.querySelector(".charts");
  const range = race.querySelector("input[type=range]");
  const output = race.querySelector("output");
  const steps = [...new Set(data.starts.flatMap((s) => s.curve.steps))].sort((a, b) => a - b);
  const hidden = new Set();

  const digits = (v) => (Math.abs(v) >= 1000 && Math.abs(v) < 99999.5 ? v.toFixed(0) : v.toPrecision(3));

  // Linear between marks, as everything else in the report; nothing beyond a curve's end.
  function at(curve, line, step) {
    const after = curve.steps.findIndex((s) => s >= step);
    if (after < 0) return null;
    if (curve.steps[after] === step) return line[after];
    const part = (step - curve.steps[after - 1]) / (curve.steps[after] - curve.steps[after - 1]);
    return line[after - 1] + part * (line[after] - line[after - 1]);
  }

  function read() {
    const step = steps[range.valueAsNumber];
    const list = document.createElement("ul");
    data.starts.forEach((start, index) => {
      if (hidden.has(index)) return;
      const [mean, low, high] = ["mean", "low", "high"].map((word) => at(start.curve, start.curve[word], step));
      const item = document.createElement("li");
      const toggle = race.querySelector(`[data-toggle="${index}"]`);
      item.append(toggle.querySelector(".swatch").cloneNode(true));
      item.className = toggle.className.replace("toggle", "");
      const value = mean === null ? "–" : `${digits(mean)} (${digits(low)} to ${digits(high)})`;
      item.append(`${toggle.textContent}: ${value}`); // the name as it may be shown
      list.append(item);
    });
    output.replaceChildren(`Step ${step}`, list);
    range.setAttribute("aria-valuetext", `step ${step}`);
    for (const chart of race.querySelectorAll(".chart")) {
      const { left, right, last, log } = chart.dataset;
      const part = +log ? Math.log(step + 1) / Math.log(+last + 1) : step / +last;
      const cursor = chart.querySelector(".cursor");
      cursor.setAttribute("transform", `translate(${+left + part * (right - left)} 0)`);
      cursor.style.visibility = "visible";
    }
  }

  function hover(event) {
    const chart = event.currentTarget;
    const { left, right, last, log } = chart.dataset;
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    const part = Math.min(Math.max((x - left) / (right - left), 0), 1);
    const place = (step) => (+log ? Math.log(step + 1) / Math.log(+last + 1) : step / +last);
    let nearest = 0;
    steps.forEach((step, i) => {
      if (Math.abs(place(step) - part) < Math.abs(place(steps[nearest]) - part)) nearest = i;
    });
    range.value = nearest;
    read();
  }

  for (const button of race.querySelectorAll(".toggle")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const index = +button.dataset.toggle;
      const shown = hidden.delete(index);
      if (!shown) hidden.add(index);
      button.setAttribute("aria-pressed", String(shown));
      for (const series of race.querySelectorAll(`[data-series="${index}"]`)) series.classList.toggle("off", !shown);
      read();
    });
  }
  const scale = race.querySelector(".scale");
  scale.addEventListener("click", () => {
    const linear = charts.classList.toggle("linear-on");
    scale.setAttribute("aria-pressed", String(!linear));
  });
  range.max = steps.length - 1;
  range.value = steps.length - 1;
  range.addEventListener("input", read);
  for (const chart of race.querySelectorAll(".chart")) {
    chart.addEventListener("pointermove", hover);
    chart.addEventListener("pointerdown", hover);
  }
  for (const control of race.querySelectorAll(".controls")) control.hidden = false;
  read();
}
