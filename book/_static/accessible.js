// What the theme and the tables lack for those who have no mouse or hear the page.
(() => {
  "use strict";

  // A box is a stop of the keyboard as long as it scrolls; it is called as its figure is
  function nameBox(box) {
    const scrolls = box.scrollWidth > box.clientWidth;
    const caption = box.nextElementSibling.firstElementChild.textContent;
    const given = { tabindex: "0", role: "region", "aria-label": caption };
    for (const [name, value] of Object.entries(given)) {
      if (scrolls) box.setAttribute(name, value);
      else box.removeAttribute(name);
    }
  }

  function watchBoxes() {
    const observer = new ResizeObserver((entries) => entries.forEach((entry) => nameBox(entry.target)));
    document.querySelectorAll(".exhibit > div").forEach((box) => observer.observe(box));
  }

  // The theme names these otherwise than they read
  function dropNames() {
    document
      .querySelectorAll("details > summary[aria-label], .search-button-field[aria-label]")
      .forEach((element) => element.removeAttribute("aria-label"));
  }

  document.addEventListener("DOMContentLoaded", () => {
    watchBoxes();
    dropNames();
  });
})();
