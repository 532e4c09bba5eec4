// Comfort only: everything can be read without this.
"use strict";
(() => {
  const root = document.documentElement;
  const filter = document.getElementById("filter");
  const filtered = document.getElementById("filtered");
  document.getElementById("tools").hidden = false;

  document.getElementById("theme").addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  });

  const sift = () => {
    const wanted = filter.value.trim().toLowerCase();
    let hidden = 0;
    for (const row of document.querySelectorAll(".row")) {
      const out = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
      row.classList.toggle("out", out);
      hidden += out ? 1 : 0;
    }
    filtered.textContent = wanted === "" ? "" : hidden + " rows hidden";
  };
  filter.addEventListener("input", sift);

  const stops = () => [...document.querySelectorAll(".stop")].filter((stop) => stop.getClientRects().length > 0);
  const go = (step) => {
    const list = stops();
    if (list.length === 0) return;
    const before = document.querySelector(".here");
    const seen = list.indexOf(before);
    const first = list.findIndex((stop) => stop.getBoundingClientRect().top >= 0);
    const at = seen < 0 ? Math.max(first, 0) : Math.min(Math.max(seen + step, 0), list.length - 1);
    before?.classList.remove("here");
    list[at].classList.add("here");
    list[at].scrollIntoView({ block: "center" });
  };
  const close = () => { if (location.hash) location.hash = "closed"; };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape" && event.target === filter) {
      filter.value = "";
      filter.blur();
      sift();
      return;
    }
    if (event.key === "Escape") { close(); return; }
    if (event.target === filter) return;
    if (event.key === "j") go(1);
    else if (event.key === "k") go(-1);
    else if (event.key === "/") { event.preventDefault(); filter.focus(); }
    else if (event.key === "Enter" && event.target === document.body) {
      const here = document.querySelector(".here");
      const mark = here?.matches("a") ? here : here?.querySelector("a.ev, a.node");
      if (mark) location.hash = mark.getAttribute("href");
    }
  });

  addEventListener("hashchange", () => {
    document.querySelector(".pane:target")?.focus({ preventScroll: true });
  });

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of opened) part.open = false;
  });
})();
