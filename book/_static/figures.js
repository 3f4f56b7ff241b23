// Draw a page's figures of plotly when the first of them is near: the library has 5 MB.
(() => {
  "use strict";
  const library = new URL("plotly.min.js", document.currentScript.src);

  function draw() {
    for (const written of document.querySelectorAll('script[type="text/plotly"]')) {
      const script = document.createElement("script");
      script.textContent = written.textContent;
      written.replaceWith(script);
    }
  }

  function load() {
    const script = document.createElement("script");
    script.src = library;
    script.addEventListener("load", draw);
    document.head.append(script);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const near = (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      load();
    };
    const observer = new IntersectionObserver(near, { rootMargin: "500px" });
    document
      .querySelectorAll('.plotly-graph-div:has(+ script[type="text/plotly"])')
      .forEach((figure) => observer.observe(figure));
  });
})();
