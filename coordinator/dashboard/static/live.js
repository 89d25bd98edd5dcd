// Keeps the parts of a page up to date. While the page is hidden it asks for nothing.
const parts = document.getElementById("parts");
const said = document.getElementById("said");
const stale = document.getElementById("stale");
let source = null;

function take(event) {
  stale.textContent = "";
  const next = document.createElement("template");
  next.innerHTML = event.data;
  const ids = new Set();
  const sentence = next.content.querySelector("[data-said]")?.textContent;
  if (sentence && said.textContent !== sentence) said.textContent = sentence;
  for (const part of [...next.content.children]) {
    ids.add(part.id);
    const now = document.getElementById(part.id);
    if (now === null) {
      if (part.id === "problem") parts.prepend(part);
      else parts.append(part);
    } else if (!now.isEqualNode(part)) {
      const focused = now.contains(document.activeElement);
      now.replaceWith(part);
      if (focused) part.focus();
    }
  }
  if (!ids.has("problem")) document.getElementById("problem")?.remove();
}

function listen() {
  source?.close();
  source = null;
  if (document.hidden) return;
  source = new EventSource(parts.dataset.live);
  source.onmessage = take;
  source.onerror = () => {
    stale.textContent = "The dashboard does not answer. The page goes on by itself when it does.";
  };
}

if (parts.dataset.live) {
  document.addEventListener("visibilitychange", listen);
  listen();
}
