// A button in the page's head hides all code and shows it again. The choice lasts, on a server as on
// disk; where a browser keeps nothing, it holds for the page. Folded cells stay folded.
(() => {
  "use strict";
  const KEY = "code-hidden";
  let hidden = false;

  function recall() {
    try {
      hidden = localStorage.getItem(KEY) === "yes";
    } catch {
      // a browser that keeps nothing
    }
  }

  function keep() {
    try {
      localStorage.setItem(KEY, hidden ? "yes" : "no");
    } catch {
      // a browser that keeps nothing
    }
  }

  function show() {
    document.documentElement.classList.toggle("code-hidden", hidden);
    document.querySelector(".code-switch")?.setAttribute("aria-pressed", hidden);
  }

  function addButton() {
    const place = document.querySelector(".article-header-buttons .theme-switch-button");
    if (!place || !document.querySelector(".cell_input")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm pst-navbar-icon code-switch";
    button.title = "Hide the code of all cells, here and on other pages";
    button.innerHTML = '<i class="fas fa-code" aria-hidden="true"></i><span>Hide code</span>';
    button.addEventListener("click", () => {
      hidden = !hidden;
      keep();
      show();
    });
    place.before(button);
    show();
  }

  recall();
  show(); // before the page is drawn
  document.addEventListener("DOMContentLoaded", addButton);
  addEventListener("pageshow", () => {
    recall(); // another page may have changed it
    show();
  });
})();
