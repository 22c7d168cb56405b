"use strict";
(() => {
  const root = document.documentElement;
  const THEME = "conformance-theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // Storage may be denied to a page that is opened as a file; the theme is then forgotten, and nothing else.
  const remembered = () => { try { return localStorage.getItem(THEME); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(THEME, theme); } catch { /* forgotten */ } };
  if (remembered()) root.dataset.theme = remembered();

  function turnTheme() {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const find = document.getElementById("find");
    const help = document.getElementById("help");
    const shown = document.getElementById("shown");
    const nothing = document.getElementById("nothing");
    const chips = [...document.querySelectorAll(".chip")];
    const main = document.querySelector("main");
    // The inner before the outer: a section is empty where all of its groups are.
    const groups = [...document.querySelectorAll(".group, .matrix tbody"), ...document.querySelectorAll(".listing")];
    const rows = new Map([...document.querySelectorAll("[data-row]")].map((row) => [row.dataset.row, row]));
    const items = [...document.querySelectorAll(".item")].map((element) => ({
      element, verdict: element.dataset.verdict, row: rows.get(element.id), words: null,
    }));
    let at = -1;

    const pressed = () => chips.filter((chip) => chip.ariaPressed === "true").map((chip) => chip.dataset.verdict);
    // A name is found as the source writes it and as the page does.
    const folded = (text) => text.toLowerCase().replaceAll("_", " ");
    const words = (item) => item.words ??= folded(`${item.element.id} ${item.element.textContent}`);

    function filter() {
      const wanted = folded(find.value).split(/\s+/).filter(Boolean);
      const verdicts = pressed();
      let count = 0;
      for (const item of items) {
        const fits = (!verdicts.length || verdicts.includes(item.verdict))
          && wanted.every((word) => words(item).includes(word));
        item.element.hidden = !fits;
        if (item.row) item.row.hidden = !fits;
        count += fits;
      }
      for (const group of groups) {
        group.hidden = group.matches(".listing")
          ? !group.querySelector(":is(.group, tbody):not([hidden])")
          : !group.querySelector(":scope > :is(.item, [data-row]):not([hidden])");
      }
      const all = !wanted.length && !verdicts.length;
      shown.textContent = all ? `${items.length} in all` : `${count} of ${items.length}`;
      nothing.hidden = count > 0;
      document.body.classList.toggle("filtered", !all);
      if (at >= 0 && items[at].element.hidden) mark(-1);
    }

    // What was found is seen from its beginning, also where the page had been scrolled past it.
    function refilter() {
      filter();
      if (main.getBoundingClientRect().top < 0) main.scrollIntoView();
      toAddress();
    }

    function toAddress() {
      const parts = [];
      if (find.value.trim()) parts.push(`q=${encodeURIComponent(find.value.trim())}`);
      if (pressed().length) parts.push(`verdict=${pressed().join(",")}`);
      history.replaceState(null, "", parts.length ? `#${parts.join("&")}` : location.pathname + location.search);
    }

    function fromAddress() {
      const hash = location.hash.slice(1);
      if (/^(q|verdict)=/.test(hash)) {
        const asked = new URLSearchParams(hash);
        find.value = asked.get("q") ?? "";
        const verdicts = (asked.get("verdict") ?? "").split(",");
        for (const chip of chips) chip.ariaPressed = String(verdicts.includes(chip.dataset.verdict));
        filter();
        main.scrollIntoView();
        return;
      }
      let id = hash;
      try { id = decodeURIComponent(hash); } catch { /* it is no encoding: taken as it is */ }
      const found = id && document.getElementById(id);
      if (!found) return;
      const index = items.findIndex((item) => item.element === found);
      if (index >= 0) {
        if (found.hidden) clear();
        found.open = true;
        mark(index);
      }
      found.scrollIntoView();
    }

    function clear() {
      find.value = "";
      for (const chip of chips) chip.ariaPressed = "false";
      filter();
    }

    function mark(index) {
      if (at >= 0) items[at].element.classList.remove("at");
      at = index;
      if (at >= 0) items[at].element.classList.add("at");
    }

    function step(by) {
      for (let index = at < 0 && by < 0 ? items.length - 1 : at + by; index >= 0 && index < items.length; index += by) {
        if (items[index].element.hidden) continue;
        mark(index);
        const summary = items[index].element.querySelector("summary");
        summary.focus({ preventScroll: true });
        summary.scrollIntoView({ block: "nearest" });
        const under = document.querySelector(".bar").getBoundingClientRect().bottom - summary.getBoundingClientRect().top;
        if (under > 0) scrollBy(0, -under - 8);
        return;
      }
    }

    find.addEventListener("input", refilter);
    for (const chip of chips) {
      chip.addEventListener("click", () => {
        chip.ariaPressed = String(chip.ariaPressed !== "true");
        refilter();
      });
    }
    document.getElementById("clear").addEventListener("click", () => { clear(); toAddress(); });
    document.getElementById("theme").addEventListener("click", turnTheme);
    document.getElementById("ask").addEventListener("click", () => help.showModal());

    document.addEventListener("click", async (event) => {
      if (!event.target.classList.contains("copy")) return;
      const code = event.target.previousElementSibling;
      try {
        await navigator.clipboard.writeText(code.textContent);
        event.target.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(code);
        event.target.textContent = "selected";
      }
      setTimeout(() => { event.target.textContent = "copy"; }, 1500);
    });

    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
      if (event.target === find) {
        if (event.key === "Escape") { clear(); toAddress(); find.blur(); }
        if (event.key === "Enter") { find.blur(); mark(-1); step(1); }
        return;
      }
      const keys = {
        "/": () => find.focus(),
        "j": () => step(1),
        "k": () => step(-1),
        "t": turnTheme,
        "?": () => help.showModal(),
        "Escape": () => { clear(); toAddress(); },
      };
      // A summary that has the focus opens by itself on Enter, as links and buttons act by themselves.
      if (event.key === "Enter" && at >= 0 && event.target === document.body) {
        keys.Enter = () => { items[at].element.open = !items[at].element.open; };
      }
      if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    });

    // On paper what failed is told in full, and the rest in one line each.
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = items.filter((item) => ["fail", "could-not-run"].includes(item.verdict) && !item.element.open);
      for (const item of opened) item.element.open = true;
    });
    addEventListener("afterprint", () => { for (const item of opened) item.element.open = false; });

    addEventListener("hashchange", fromAddress);
    filter();
    fromAddress();
  });
})();
