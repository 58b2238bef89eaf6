// What every page of the console needs: calls of the API, notices, dialogs, copying, times, preferences.

import { inPageLanguage } from "./phrases.js";

const texts = JSON.parse(document.body.dataset.texts);

export function text(name, values = {}) {
  return texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = Math.ceil(seconds % 60);
  return minutes ? text("minutes", { minutes, seconds: rest }) : text("seconds", { seconds: rest });
}

// What had the focus may be gone: then it goes where the reader goes on.
export function keepFocus(place = document.getElementById("content")) {
  const focused = document.activeElement;
  if (!focused || focused === document.body || !focused.checkVisibility()) place.focus({ preventScroll: true });
}

// A notice leaves by itself unless it tells of a problem. Returns a function that takes it away.
export function notice(words, { kind = "good", seconds = kind === "good" ? 5 : 0, action } = {}) {
  const element = document.createElement("div");
  element.className = `notice ${kind}`;
  const sentence = document.createElement("span");
  sentence.textContent = words;
  element.append(sentence);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = action.label;
    button.addEventListener("click", () => { action.run(); gone(); });
    element.append(button);
  } else if (!seconds) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "close";
    button.textContent = "×";
    button.setAttribute("aria-label", text("dismiss"));
    button.addEventListener("click", () => gone());
    element.append(button);
  }
  // One notice of a kind is enough when the same thing goes wrong again.
  for (const other of document.querySelectorAll("#notices .notice")) {
    if (other.firstChild.textContent === words) other.remove();
  }
  document.getElementById("notices").append(element);
  const gone = () => {
    const focused = element.contains(document.activeElement);
    element.remove();
    if (focused) keepFocus();
  };
  if (seconds) setTimeout(gone, seconds * 1000);
  return gone;
}

let offline = null;

export function reachable(yes) {
  if (!yes && !offline) offline = notice(text("offline"), { kind: "bad" });
  if (yes && offline) {
    offline();
    offline = null;
    notice(text("online"));
  }
}

export function toLogin() {
  const here = location.pathname + location.search;
  location.assign(`/admin/login?next=${encodeURIComponent(here)}`);
}

// One request to the API: {ok, status, data, detail, retryAfter}. Nothing is thrown but an abort.
export async function api(method, path, body, { signal, keepalive } = {}) {
  const options = { method, signal, keepalive, headers: { Accept: "application/json" } };
  if (body instanceof FormData) options.body = body;
  else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    reachable(false);
    return { ok: false, status: 0, data: null, detail: text("offline"), retryAfter: 0 };
  }
  reachable(true);
  const data = await answer.json().catch(() => null);
  if (answer.status === 401 && !path.endsWith("/auth/login")) toLogin();
  return {
    ok: answer.ok,
    status: answer.status,
    data,
    detail: answer.ok ? "" : await inPageLanguage(data?.detail ?? `${answer.status} ${answer.statusText}`),
    retryAfter: Number(answer.headers.get("Retry-After") ?? 0),
  };
}

export function showProblem(place, words) {
  const element = place.querySelector(".problem");
  element.textContent = words;
  element.hidden = !words;
}

// Asks in the dialog; the button carries the words. Resolves to whether it was said yes.
export async function confirmed(button) {
  const dialog = document.getElementById("confirm");
  const yes = document.getElementById("confirm-yes");
  dialog.querySelector("h2").textContent = button.dataset.title;
  dialog.querySelector("p").textContent = button.dataset.words;
  yes.textContent = button.dataset.yes;
  showProblem(dialog, "");
  dialog.showModal();
  return new Promise((resolve) => {
    const end = (answer) => { yes.onclick = null; dialog.onclose = null; dialog.close(); resolve(answer); };
    yes.onclick = () => end(true);
    // The browser tells later that a dialog was closed; if it is open again, that was the asking before this one.
    dialog.onclose = () => { if (!dialog.open) end(false); };
  });
}

export function bodyOf(form) {
  const body = {};
  for (const field of form.querySelectorAll("[name]")) {
    if (field.dataset.as === "time") body[field.name] = field.value ? new Date(field.value).toISOString() : null;
    else if (field.dataset.as === "number") body[field.name] = field.value ? Number(field.value) : null;
    else body[field.name] = field.value;
  }
  return body;
}

// The value that an <input type="datetime-local"> takes.
export function localInput(iso) {
  if (!iso) return "";
  const moment = new Date(iso);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

function localTimes(root) {
  const full = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  for (const element of root.querySelectorAll("time[datetime]:not([title])")) {
    element.title = element.textContent;
    element.textContent = full.format(new Date(element.dateTime));
  }
}

async function copy(button) {
  const source = document.querySelector(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    getSelection().selectAllChildren(source);
    notice(text("copy_failed"), { kind: "warn", seconds: 8 });
    return;
  }
  const label = button.textContent;
  button.textContent = text("copied");
  button.classList.add("done");
  setTimeout(() => { button.textContent = label; button.classList.remove("done"); }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.copy) copy(button);
  if (button.dataset.open) {
    const dialog = document.querySelector(button.dataset.open);
    dialog.querySelector("form")?.reset();
    if (dialog.querySelector(".problem")) showProblem(dialog, "");
    dialog.showModal();
  }
  if ("close" in button.dataset) button.closest("dialog").close();
});

document.addEventListener("change", (event) => {
  const name = event.target.dataset?.preference;
  if (!name) return;
  const value = event.target.value;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const age = value ? 31536000 : 0;
  document.cookie = `${name}=${value}; Path=/admin; Max-Age=${age}; SameSite=Strict${secure}`;
  // Arrow keys change a menu that is closed: the next press must find it again.
  sessionStorage.setItem("face_api_focus", name);
  location.reload();
});
document.querySelector(`[data-preference="${sessionStorage.getItem("face_api_focus")}"]`)?.focus();
sessionStorage.removeItem("face_api_focus");

document.getElementById("logout")?.addEventListener("click", async () => {
  const answer = await api("POST", "/api/v1/admin/auth/logout");
  if (answer.ok) location.assign("/admin/login");
  else notice(answer.detail, { kind: "bad" });
});

// htmx swallows what goes wrong; we do not.
document.addEventListener("htmx:responseError", (event) => {
  const request = event.detail.xhr;
  reachable(true);
  if (request.status === 401) return;
  let words = `${request.status} ${request.statusText}`;
  try { words = JSON.parse(request.responseText).detail; } catch { /* not ours: the status says enough */ }
  notice(words, { kind: "bad" });
});
document.addEventListener("htmx:sendError", () => reachable(false));
document.addEventListener("htmx:timeout", () => reachable(false));
document.addEventListener("htmx:afterSwap", (event) => { reachable(true); localTimes(event.detail.target); });
localTimes(document);
document.querySelector(".side nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
// A page that the browser kept from before a logout must not be shown.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
