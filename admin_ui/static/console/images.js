// Stored pictures: deleting, with some seconds to think again.

import "./compare.js";
import { api, confirmed, keepFocus, notice, text } from "./console.js";

const UNDO_SECONDS = 10;
const waiting = new Map();

async function remove(id, { keepalive = false } = {}) {
  clearTimeout(waiting.get(id));
  waiting.delete(id);
  return api("DELETE", `/api/v1/admin/images/${id}`, undefined, { keepalive });
}

function show(id, shown) {
  const card = document.querySelector(`li[data-image="${id}"]`);
  if (card) card.hidden = !shown;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-delete-image]");
  if (!button || !(await confirmed(button))) return;
  const id = button.dataset.deleteImage;
  const { leave } = button.dataset;
  show(id, false);
  button.disabled = true;
  const gone = notice(text("removed", { name: button.dataset.name }), {
    kind: "calm",
    seconds: UNDO_SECONDS + 1,
    action: {
      label: text("undo"),
      run: () => {
        clearTimeout(waiting.get(id));
        waiting.delete(id);
        show(id, true);
        button.disabled = false;
        button.focus();
      },
    },
  });
  // Its button has gone with the picture; there is no time to go looking for this one.
  keepFocus(document.querySelector("#notices .notice:last-child button"));
  waiting.set(id, setTimeout(async () => {
    gone();
    const answer = await remove(id);
    if (!answer.ok && answer.status !== 404) {
      notice(answer.detail, { kind: "bad" });
      show(id, true);
      button.disabled = false;
    } else if (leave) location.assign(leave);
    else htmx.ajax("GET", location.pathname + location.search, { target: "#images-list", swap: "innerHTML" });
  }, UNDO_SECONDS * 1000));
});

// A file that is lost: words in place of the browser's broken picture.
document.addEventListener("error", (event) => {
  if (!event.target.matches?.(".frame img")) return;
  const words = document.createElement("span");
  words.textContent = text("lost");
  event.target.replaceWith(words);
}, true);

// Who leaves the page has not said undo.
addEventListener("pagehide", () => [...waiting.keys()].forEach((id) => remove(id, { keepalive: true })));
// What is about to be deleted stays hidden when the list is read again.
document.addEventListener("htmx:afterSwap", () => [...waiting.keys()].forEach((id) => show(id, false)));
