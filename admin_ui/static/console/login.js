// The login: one request to the API, and a clock while the address is locked.

import { api, duration, showProblem, text } from "./console.js";

const form = document.getElementById("login");
const button = form.querySelector("button[type=submit]");
let clock = 0;

function locked(name, seconds) {
  const until = Date.now() + seconds * 1000;
  button.disabled = true;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left > 0) {
      showProblem(form, text(name, { time: duration(left) }));
      return;
    }
    clearInterval(clock);
    button.disabled = false;
    showProblem(form, text("unlocked"));
  };
  clearInterval(clock);
  clock = setInterval(tick, 1000);
  tick();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  showProblem(form, "");
  button.setAttribute("aria-busy", "true");
  const { username, password } = Object.fromEntries(new FormData(form));
  const answer = await api("POST", "/api/v1/admin/auth/login", { username, password });
  button.removeAttribute("aria-busy");
  if (answer.ok) {
    location.assign(form.dataset.target);
  } else if (answer.status === 429) {
    locked(/failed|locked/.test(answer.data?.detail) ? "locked" : "too_many", answer.retryAfter || 60);
  } else {
    showProblem(form, answer.status === 401 ? text("wrong_login") : answer.detail);
    form.elements.password.select();
  }
});
