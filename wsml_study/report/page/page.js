"use strict";
// Each chart's element holds its Vega-Lite specification with the colours of the light theme, which are replaced for the
// dark theme: Vega draws literal colours, so CSS variables cannot reach them.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const narrow = window.matchMedia("(max-width: 1099px)");
const charts = [...document.querySelectorAll(".chart")].map((place) => ({
  place,
  description: place.querySelector("script").textContent,
}));

async function draw() {
  document.documentElement.dataset.figures = "drawing";
  for (const { place, description } of charts) {
    const text = dark.matches ? description.replace(/#[0-9a-f]{6}\b/g, (color) => DARK[color] ?? color) : description;
    await vegaEmbed(place, JSON.parse(text), {
      renderer: "svg",
      actions: { export: true, source: false, compiled: false, editor: false },
      tooltip: { theme: dark.matches ? "dark" : "light" },
    });
  }
  document.documentElement.dataset.figures = "drawn";
}

function foldContents() {
  document.querySelector(".contents").open = !narrow.matches;
}

dark.addEventListener("change", draw);
narrow.addEventListener("change", foldContents);
foldContents();
draw();
