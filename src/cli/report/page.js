"use strict";
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const report = data.report;
  const get = (id) => document.getElementById(id);
  const make = (name, text) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const clock = (seconds) => {
    const whole = Math.floor(seconds);
    const two = (n) => String(n).padStart(2, "0");
    const tenth = Math.floor((seconds - whole) * 10);
    const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60, s = whole % 60;
    return (h ? `${h}:${two(m)}` : String(m)) + `:${two(s)}.${tenth}`;
  };
  const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const rows = (table, list) => {
    table.replaceChildren();
    for (const [name, value] of list) {
      if (value === null || value === undefined || value === "") continue;
      const row = table.insertRow();
      const head = make("th", name);
      head.scope = "row";
      row.append(head);
      row.insertCell().textContent = typeof value === "object" ? JSON.stringify(value) : String(value);
    }
  };

  // ---- The head.
  const size = (s) => (s ? `${s.width}×${s.height}` : "");
  const facts = [
    report.video && size(report.video.input),
    data.end > 0 && clock(data.end),
    count(report.frames ?? 0, "frame"),
    count(report.tracks ?? 0, "track"),
    `a face sharpened ${count(report.faces_enhanced ?? 0, "time")}`,
  ];
  get("facts").textContent = facts.filter(Boolean).join(" · ");
  get("none").hidden = report.tracks > 0;

  // ---- Before and after.
  const stage = get("stage"), slider = get("slider");
  const slide = () => {
    stage.style.setProperty("--at", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} % before`);
  };
  slider.addEventListener("input", slide);
  const choose = (moment, button) => {
    for (const side of ["before", "after"]) {
      get(side).src = moment[side];
      get(side).width = moment.width;
      get(side).height = moment.height;
    }
    stage.style.setProperty("--shape", moment.width / moment.height);
    for (const other of get("choices").children) other.setAttribute("aria-pressed", other === button);
  };
  for (const moment of data.moments) {
    const button = make("button", `at ${clock(moment.time_s)}, ${count(moment.faces, "face")}`);
    button.type = "button";
    button.addEventListener("click", () => choose(moment, button));
    get("choices").append(button);
  }
  if (data.moments.length) {
    get("moments").hidden = false;
    choose(data.moments[0], get("choices").firstElementChild);
    slide();
  }
  get("zoom").addEventListener("change", (event) => stage.classList.toggle("exact", event.target.checked));

  // ---- Faces.
  const dialog = get("dialog");
  let open = 0;
  const show = (number) => {
    open = (number + data.faces.length) % data.faces.length;
    const face = data.faces[open];
    get("dialog-title").textContent = `Track ${face.track}`;
    for (const which of ["before", "after", "input", "bicubic", "enhanced"]) {
      get(`d-${which}`).src = face[which];
      get(`d-${which}`).alt = `Track ${face.track}, ${which}`;
    }
    const b = face.box;
    rows(get("d-facts"), [
      ["this look", `at ${clock(face.time_s)}`],
      ["where", `${b.w}×${b.h} pixels at ${b.x}, ${b.y} of the input`],
      ["detector's score", face.score],
      ["there", `from ${clock(face.first_s)} to ${clock(face.last_s)}, in ${face.frames} frames`],
    ]);
    if (!dialog.open) dialog.showModal();
  };
  data.faces.forEach((face, number) => {
    const button = make("button");
    button.type = "button";
    button.setAttribute("aria-label", `Track ${face.track}, at ${clock(face.time_s)}`);
    const pair = make("span");
    pair.className = "pair";
    for (const which of ["before", "after"]) {
      const picture = make("img");
      picture.src = face[which];
      picture.alt = "";
      pair.append(picture);
    }
    const when = make("span", `${face.track} · ${clock(face.first_s)}–${clock(face.last_s)}`);
    when.className = "when";
    button.append(pair, when);
    button.addEventListener("click", () => show(number));
    const item = make("li");
    item.append(button);
    get("grid").append(item);
  });
  if (data.faces.length) {
    get("faces").hidden = false;
    const all = data.sharpened_tracks;
    get("faces-note").textContent =
      (data.faces.length < all ? `The best ${data.faces.length} of ${all} faces. ` : "") +
      "The best look at each, cropped out of the frames: left as the camera saw it, right as it is in " +
      "the output. Choose one to see what the network got and gave.";
  }
  get("d-previous").addEventListener("click", () => show(open - 1));
  get("d-next").addEventListener("click", () => show(open + 1));
  get("d-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(open - 1);
    if (event.key === "ArrowRight") show(open + 1);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // ---- The timeline.
  const svg = (name, attributes, text) => {
    const element = document.createElementNS("http" + "://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  if (data.timeline.length) {
    get("time").hidden = false;
    const tracks = [...data.timeline].sort((a, b) => a[1] - b[1] || a[0] - b[0]).slice(0, 400);
    const width = 1200, chart = 60, line = tracks.length > 60 ? 5 : 10, top = chart + 26;
    const height = top + tracks.length * line + 8;
    const end = Math.max(data.end, 0.001), x = (t) => (t / end) * (width - 20) + 10;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `${data.timeline.length} faces over ${clock(end)}` });
    const bins = 200, counts = new Array(bins).fill(0);
    for (const [, first, last] of data.timeline) {
      const from = Math.min(bins - 1, Math.floor((first / end) * bins));
      const to = Math.min(bins - 1, Math.floor((last / end) * bins));
      for (let i = from; i <= to; i++) counts[i]++;
    }
    const most = Math.max(...counts, 1);
    const bottom = chart + 4;
    let outline = `M ${x(0)} ${bottom}`;
    counts.forEach((n, i) => {
      const y = bottom - (n / most) * chart;
      outline += ` L ${x((i / bins) * end)} ${y} L ${x(((i + 1) / bins) * end)} ${y}`;
    });
    picture.append(svg("path", { class: "count", d: `${outline} L ${x(end)} ${bottom} Z` }));
    picture.append(svg("text", { x: 12, y: 14 }, `up to ${most} at a time`));
    for (let i = 0; i <= 6; i++) {
      const t = (end * i) / 6;
      picture.append(svg("line", { x1: x(t), x2: x(t), y1: chart + 4, y2: height }));
      picture.append(svg("text", { x: x(t), y: chart + 18,
        "text-anchor": i === 0 ? "start" : i === 6 ? "end" : "middle" }, clock(t)));
    }
    tracks.forEach(([id, first, last, known], row) => {
      const bar = svg("rect", { class: known ? "known" : "pale", x: x(first), y: top + row * line,
        width: Math.max(2, x(last) - x(first)), height: line - 2, rx: 1.5 });
      bar.append(svg("title", {}, `track ${id}: ${clock(first)} to ${clock(last)}`));
      picture.append(bar);
    });
    get("timeline").append(picture);
  }

  // ---- Tables.
  rows(get("speed"), [
    ["frames a second", report.fps],
    ["time", report.wall_s && `${report.wall_s} s`],
    ["output", report.video && size(report.video.output)],
    ["encoder", report.video && report.video.encoder],
    ...Object.entries(report.versions ?? {}),
  ]);
  rows(get("stages"), Object.entries(report.stages ?? {}).map(([name, ms]) => [name, `${ms.toFixed(2)} ms of a core a frame`]));
  rows(get("options"), Object.entries(report.options ?? {}).filter(([name]) => name !== "given"));
  rows(get("properties"), Object.entries(report.properties ?? {}));
}
