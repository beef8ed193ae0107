// Draws the charts of a page, each when it comes into view; all of them before printing.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const print = matchMedia("print");
  const coarse = matchMedia("(pointer: coarse)");
  const times = Array.from({length: data.count}, (_, place) =>
    new Date(data.first + place * data.width).toISOString().slice(0, 19));
  const drawn = new Map();
  let printing = false;

  // Plotly reads some HTML in its texts: names are to stand there as they are.
  const escaped = (text) =>
    text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  const figure = (value, form) => {
    if (form === "percent") return `${Number(value.toPrecision(4))}%`;
    let power = 0;
    while (value >= 1024 && power < units.length - 1) { value /= 1024; power += 1; }
    return `${Number(value.toPrecision(4))}${units[power]}${form === "rate" ? "/s" : ""}`;
  };

  // Ticks of bytes stand at powers of two, or at even parts between them.
  const ticks = (most, form) => {
    const base = form === "percent" ? 10 : 2;
    let step = base ** Math.floor(Math.log(most / 4) / Math.log(base));
    for (const factor of base === 10 ? [1, 2, 5, 10] : [1, 2]) {
      if (most / (step * factor) <= 6) { step *= factor; break; }
    }
    const values = [];
    for (let value = 0; value < most + step && values.length < 9; value += step) values.push(value);
    return {tickvals: values, ticktext: values.map((value) => figure(value, form))};
  };

  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // A value between two gaps has no line: it is a dot.
  const alone = (values, place) =>
    values[place] !== null && (values[place - 1] ?? null) === null
      && (values[place + 1] ?? null) === null;

  const traces = (chart, hidden) => chart.lines.map((line, number) => ({
    type: "scatter",
    mode: "lines+markers",
    connectgaps: false,
    name: escaped(line.name),
    x: times,
    y: line.values,
    visible: !hidden.has(number),
    line: {width: 1.75, color: colour(`--line-${line.look % 10}`),
           dash: line.look < 10 ? "solid" : "dot"},
    marker: {size: line.values.map((_, place) => (alone(line.values, place) ? 5 : 0)), opacity: 1,
             line: {width: 0}},
    text: line.values.map((value, place) => value === null ? "" : escaped(line.name) + ": "
      + figure(value, chart.form) + (line.hosts ? ` (${line.hosts[place]} hosts)` : "")),
    hovertemplate: "%{text}<br>%{x|%Y-%m-%d %H:%M:%S} UTC<extra></extra>",
  }));

  const layout = (chart, place, hidden) => {
    const seen = chart.lines.filter((_, number) => !hidden.has(number));
    const most = Math.max(...seen.flatMap((line) => line.values), 0) || 1;
    const text = colour("--muted"), grid = colour("--rule");
    const marks = ticks(most, chart.form);
    return {
      autosize: !printing,
      ...(printing ? {width: Math.min(place.clientWidth || 660, 660)} : {}),
      height: printing ? 190 : 230,
      margin: {l: 74, r: 8, t: 8, b: 34},
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: {family: "system-ui, sans-serif", size: 12, color: text},
      showlegend: false,
      hovermode: "closest",
      hoverlabel: {bgcolor: colour("--card"), bordercolor: grid, font: {color: colour("--text")}},
      dragmode: coarse.matches ? false : "zoom",  // a finger scrolls the page
      uirevision: "kept",  // what a reader has zoomed to
      xaxis: {type: "date", range: [data.since, data.until].map((ms) => new Date(ms).toISOString()
        .slice(0, 19)), gridcolor: grid, linecolor: grid, zeroline: false, tickangle: 0,
        nticks: place.clientWidth < 450 ? 3 : 6},
      yaxis: {range: [0, most * 1.06], fixedrange: true, gridcolor: grid, zerolinecolor: grid,
              ...marks},
    };
  };

  const settings = {
    responsive: true, displaylogo: false, showTips: false,
    displayModeBar: coarse.matches ? false : "hover",  // it would hide lines
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };

  const draw = (id) => {
    const place = document.getElementById(id), chart = data.charts[id];
    if (!drawn.has(id)) {
      drawn.set(id, new Set());
      legend(id, chart);
    }
    Plotly.react(place, traces(chart, drawn.get(id)), layout(chart, place, drawn.get(id)),
                 settings);
  };

  const legend = (id, chart) => {
    const list = document.getElementById(`${id}-legend`);
    chart.lines.forEach((line, number) => {
      const button = document.createElement("button");
      const mark = document.createElement("i");
      mark.className = line.look < 10 ? "solid" : "dotted";
      mark.style.color = `var(--line-${line.look % 10})`;
      button.type = "button";
      button.append(mark, line.name);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        const hidden = drawn.get(id);
        if (!hidden.delete(number)) hidden.add(number);
        button.setAttribute("aria-pressed", String(!hidden.has(number)));
        draw(id);
      });
      list.append(button);
    });
  };

  // Tables of machines and single containers are many: each is made when it is opened, as charts.py makes others.
  const exact = (value, form) => {
    if (value === null) return "-";
    if (form === "percent") return `${value.toFixed(1)}%`;
    let power = 0;
    while (value >= 1023.95 && power < units.length - 1) { value /= 1024; power += 1; }
    return `${value.toFixed(power ? 1 : 0)}${units[power]}${form === "rate" ? "/s" : ""}`;
  };

  const fill = (details) => {
    if (!details.open || details.querySelector("table")) return;
    const chart = data.charts[details.dataset.of];
    const scroll = document.createElement("div");
    const table = document.createElement("table");
    scroll.className = "scroll";
    scroll.append(table);
    const put = (row, tag, text, kind) => {
      const cell = document.createElement(tag);
      cell.textContent = text;
      if (kind) cell.className = kind;
      row.append(cell);
    };
    const head = table.createTHead().insertRow();
    put(head, "th", "UTC, from");
    for (const line of chart.lines) put(head, "th", line.name, "right");
    const body = table.createTBody();
    times.forEach((time, place) => {
      const row = body.insertRow();
      put(row, "th", time.replace("T", " ").slice(0, data.width < 60000 ? 19 : 16));
      for (const line of chart.lines) put(row, "td", exact(line.values[place], chart.form));
    });
    details.append(scroll);
  };
  const tables = document.querySelectorAll("details[data-of]");
  for (const one of tables) one.addEventListener("toggle", () => fill(one));

  const again = () => { for (const id of drawn.keys()) draw(id); };
  const paper = (on) => {
    if (printing && on) return;
    printing = on;
    root.toggleAttribute("data-print", on);
    if (on) {
      tables.forEach(fill);
      Object.keys(data.charts).forEach(draw);
    } else again();
  };

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        seen.unobserve(entry.target);
        if (!drawn.has(entry.target.id)) draw(entry.target.id);
      }
    }
  }, {rootMargin: "400px"});
  for (const id of Object.keys(data.charts)) seen.observe(document.getElementById(id));

  dark.addEventListener("change", again);
  print.addEventListener("change", (change) => paper(change.matches));
  addEventListener("beforeprint", () => paper(true));
  addEventListener("afterprint", () => paper(false));
})();
