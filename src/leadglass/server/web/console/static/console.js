// The console's own behaviour. Every page but the upload works without it.
"use strict";

// A menu closes when one clicks elsewhere or presses Escape, as menus do.
for (const event of ["click", "keydown"]) {
  document.addEventListener(event, (happened) => {
    if (happened.type === "keydown" && happened.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.account[open]")) {
      if (happened.type === "keydown" || !menu.contains(happened.target)) menu.open = false;
    }
  });
}

// Small pictures that cannot be made (a report, no sandbox for decoding) leave the modality's letters in their place.
document.addEventListener("error", (failed) => failed.target.closest?.(".picture") && failed.target.remove(), true);
for (const picture of document.querySelectorAll(".picture img")) {
  if (picture.complete && picture.naturalWidth === 0) picture.remove(); // it failed before this script ran
}

// `/` goes to the search, arrows go through the list.
document.addEventListener("keydown", (pressed) => {
  const typing = pressed.target.matches("input, select, textarea");
  const text = document.getElementById("text");
  if (pressed.key === "/" && text && !typing) {
    pressed.preventDefault();
    text.select();
  }
  if (pressed.key !== "ArrowDown" && pressed.key !== "ArrowUp") return;
  if (typing && pressed.target !== text) return;
  const links = [...document.querySelectorAll(".studies .over")];
  const at = links.indexOf(document.activeElement);
  const next = pressed.key === "ArrowDown" ? links[at + 1] : (links[at - 1] ?? text);
  if (next && (at >= 0 || pressed.target === text)) {
    pressed.preventDefault();
    next.focus();
  }
});

// A search is kept for the way back from a study, in this tab only and while its session lasts: no address names a
// patient. Pages for people who have not signed in forget it, however the session ended.
const idle = Number(document.body.dataset.idle);
if (!idle) sessionStorage.clear();
const remembered = document.querySelector("form[data-remember]");
if (remembered) {
  const key = `search ${remembered.id}`;
  const keep = () => sessionStorage.setItem(key, JSON.stringify([...new FormData(remembered)]));
  remembered.addEventListener("input", keep);
  remembered.addEventListener("change", keep);
  const fields = JSON.parse(sessionStorage.getItem(key) ?? "[]").filter(([, value]) => value);
  // Where the form is sent before htmx has taken it over, the page that comes answers it: it asks nothing more.
  const isAnswer = remembered.dataset.remember === "answered";
  if (fields.length && !isAnswer && performance.getEntriesByType("navigation")[0]?.type !== "reload") {
    for (const [name, value] of fields) remembered.elements[name].value = value;
    addEventListener("load", () => remembered.requestSubmit());
  }
}
document.querySelector('form[action="/sign-out"]')?.addEventListener("submit", () => sessionStorage.clear());

// The session is over: what htmx asked for cannot be put into this page.
const signInAgain = () => {
  sessionStorage.clear();
  location.replace(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
};
document.addEventListener("htmx:before:swap", (swap) => swap.detail.ctx?.response?.status === 401 && signInAgain());

// A page goes away with its idle session. Requests that it makes keep the session alive.
if (idle) {
  let end = 0;
  const keepAlive = () => {
    clearTimeout(end);
    end = setTimeout(signInAgain, (idle + 1) * 1000);
  };
  keepAlive();
  new PerformanceObserver(keepAlive).observe({ type: "resource" });
}

// What ends something at once is asked for twice.
document.addEventListener("submit", (sending) => {
  const question = sending.target.dataset.confirm;
  if (question && !confirm(question)) sending.preventDefault();
});

document.addEventListener("click", async (clicked) => {
  const button = clicked.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});
