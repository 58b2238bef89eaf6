// The page of the API keys: every change is a request to the API; then the list is read again.

import { api, bodyOf, confirmed, keepFocus, localInput, notice, showProblem } from "./console.js";

const list = document.getElementById("keys-list");

async function refresh() {
  const page = new URLSearchParams(location.search).get("page") ?? "1";
  const { id } = document.activeElement;
  await htmx.ajax("GET", `/admin/keys?page=${page}`, { target: list, swap: "innerHTML" });
  if (id) document.getElementById(id)?.focus();
  keepFocus();
}

async function run(button) {
  if (button.ariaBusy === "true") return;
  if (button.dataset.title && !(await confirmed(button))) return;
  const [method, path] = button.dataset.api.split(" ");
  button.setAttribute("aria-busy", "true");
  const answer = await api(method, path, button.dataset.body ? JSON.parse(button.dataset.body) : undefined);
  button.removeAttribute("aria-busy");
  if (answer.ok) notice(button.dataset.done);
  else notice(answer.detail, { kind: "bad" });
  await refresh();
}

function edit(button) {
  const dialog = document.getElementById("edit-key");
  const form = dialog.querySelector("form");
  form.dataset.api = `PATCH /api/v1/admin/api-keys/${button.dataset.edit}`;
  form.elements.name.value = button.dataset.name;
  form.elements.expires_at.value = localInput(button.dataset.expires);
  form.elements.expires_at.dataset.before = form.elements.expires_at.value;
  form.elements.daily_quota.value = button.dataset.quota;
  showProblem(dialog, "");
  dialog.showModal();
}

function made(key) {
  document.getElementById("key-value").textContent = key;
  document.getElementById("key-curl").textContent =
    `curl -H 'X-API-Key: ${key}' -F image=@photo.jpg ${location.origin}/api/v1/mask -o masked.jpg`;
  const dialog = document.getElementById("key-made");
  dialog.showModal();
  dialog.addEventListener("close", () => {
    // The key goes with the dialog.
    document.getElementById("key-value").textContent = "";
    document.getElementById("key-curl").textContent = "";
  }, { once: true });
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.api) return;
  event.preventDefault();
  const [method, path] = form.dataset.api.split(" ");
  const body = bodyOf(form);
  const expiry = form.elements.expires_at;
  // An expiry that has passed may stay; only a new one must lie ahead.
  if (method === "PATCH" && expiry.value === expiry.dataset.before) delete body.expires_at;
  const submit = form.querySelector("[type=submit]");
  submit.setAttribute("aria-busy", "true");
  const answer = await api(method, path, body);
  submit.removeAttribute("aria-busy");
  if (!answer.ok) {
    showProblem(form, answer.detail);
    return;
  }
  form.closest("dialog").close();
  if (form.dataset.then === "created") made(answer.data.key);
  else notice(form.dataset.done);
  await refresh();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.edit) edit(button);
  else if (button?.dataset.api) run(button);
});
