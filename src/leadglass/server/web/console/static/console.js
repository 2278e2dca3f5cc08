// The console's own behaviour. Everything works without it except the upload's progress.
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
