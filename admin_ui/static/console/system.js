// Files still to be deleted: trying them again at once; then the list is read again.

import { api, notice, text } from "./console.js";
import { inPageLanguage } from "./phrases.js";

const list = document.getElementById("cleanup-list");
let forgetFailure = () => {};

function failed(words) {
  forgetFailure = notice(words, { kind: "bad" });
}

async function tell({ ok, status, data, detail }) {
  // The service was faster.
  if (status === 404) notice(text("deleted_already"));
  else if (!ok) failed(detail);
  else if (data.failed) failed(text("still_failing", { failed: data.failed, reason: await inPageLanguage(data.last_error) }));
  // What there was no time for is being done by now.
  else if (data.remaining) notice(text("deleted_some", data));
  else notice(text("deleted_all", data));
}

async function retry(button) {
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  const answer = await api("POST", button.dataset.retry);
  button.removeAttribute("aria-busy");
  button.disabled = false;
  forgetFailure();
  await tell(answer);
  const { id } = button;
  await htmx.ajax("GET", location.pathname + location.search, { target: list, swap: "innerHTML" });
  // Its row may be gone: who works with the keyboard stays where they were.
  (document.getElementById(id) ?? document.getElementById("cleanup-title")).focus();
}

list?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-retry]");
  if (button) retry(button);
});
