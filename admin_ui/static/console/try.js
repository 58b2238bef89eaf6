// Try it: one picture, sent again whenever a control moves; the newest request wins.

import { api, text } from "./console.js";
import { drawFaces } from "./compare.js";

const form = document.getElementById("trial");
const problem = document.getElementById("trial-problem");
const outcome = document.getElementById("outcome");
const compare = document.getElementById("compare");
const element = (id) => document.getElementById(id);

const PAUSE_MS = 150;
const BUSY_MS = 1000;

let picture = null;
let addresses = [];
let request = null;
let timer = 0;

function options() {
  const values = Object.fromEntries(new FormData(form));
  delete values.picture;
  return values;
}

function complain(words) {
  problem.textContent = words;
  problem.hidden = !words;
}

function quoted(word) {
  return /^[\w.@:/=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function command(values) {
  const fields = Object.entries(values).map(([name, value]) => `-F ${name}=${value}`).join(" ");
  const ending = values.format === "jpeg" ? "jpg" : values.format;
  const name = quoted(`image=@${picture.name || "photo.jpg"}`);
  return `curl -H 'X-API-Key: xyl_your_api_key_here' -F ${name} ${fields} ${location.origin}/api/v1/mask -o masked.${ending}`;
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function showTimings(data) {
  const { profiling, output } = data;
  const steps = ["decode", "preprocess", "inference", "postprocess", "mask", "encode", "total"];
  const entries = steps.map((step) => [step, profiling[`${step}_ms`]]).filter(([, value]) => value != null);
  element("timings").replaceChildren(...entries.map(([step, value]) => {
    const group = document.createElement("div");
    const term = document.createElement("dt");
    const words = document.createElement("dd");
    term.textContent = text(`step_${step}`);
    words.textContent = `${value} ms`;
    group.append(term, words);
    return group;
  }));
  const size = profiling.output_bytes ?? output.size_bytes;
  if (size) element("timings").dataset.bytes = size;
}

function show(data, values) {
  const { image_base64: encoded, ...output } = data.output;
  const masked = new Blob([bytesOf(encoded)], { type: `image/${values.format}` });
  const address = URL.createObjectURL(masked);
  const old = addresses;
  addresses = [address];
  element("after").onload = () => old.forEach((one) => URL.revokeObjectURL(one));
  element("after").src = address;
  element("download").href = address;
  element("download").download = `masked.${values.format === "jpeg" ? "jpg" : values.format}`;
  const count = data.summary.face_count;
  element("found").textContent = count === 0 ? text("no_faces") : count === 1 ? text("one_face") : text("faces", { count });
  compare.style.setProperty("--ratio", `${data.image.width} / ${data.image.height}`);
  compare.style.setProperty("--width", `${data.image.width}px`);
  drawFaces(data);
  showTimings(data);
  element("trial-curl").textContent = command(values);
  element("trial-json").textContent = JSON.stringify({ ...data, output: { ...output, image_base64: "…" } }, null, 2);
  element("nothing").hidden = true;
  outcome.hidden = false;
}

async function send() {
  if (!picture) return;
  request?.abort();
  const mine = new AbortController();
  request = mine;
  const values = options();
  const body = new FormData();
  for (const [name, value] of Object.entries(values)) body.append(name, value);
  body.append("image", picture, picture.name || "picture");
  outcome.setAttribute("aria-busy", "true");
  try {
    const answer = await api("POST", "/api/v1/admin/test/mask", body, { signal: mine.signal });
    if (answer.status === 503 && answer.retryAfter) {
      timer = setTimeout(send, BUSY_MS);
    } else if (answer.ok) {
      complain("");
      show(answer.data, values);
    } else {
      complain(answer.detail);
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  } finally {
    if (request === mine) outcome.removeAttribute("aria-busy");
  }
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(send, PAUSE_MS);
}

function take(file) {
  if (!file) return;
  if (file.type && !file.type.startsWith("image/")) {
    complain(text("not_a_picture"));
    return;
  }
  picture = file;
  const before = element("before");
  if (before.src) URL.revokeObjectURL(before.src);
  before.src = URL.createObjectURL(file);
  element("drop").querySelector("strong").textContent = file.name || "—";
  clearTimeout(timer);
  send();
}

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", (event) => {
  if (event.target.type === "file") return;
  const shown = element(`${event.target.name}-shown`);
  if (shown) shown.textContent = event.target.value;
  element("quality").disabled = form.elements.format.value === "png";
  element("strength").disabled = form.elements.method.value === "solid";
  later();
});
element("picture").addEventListener("keydown", (event) => {
  // Space opens the choice by itself; Enter would send the form.
  if (event.key !== "Enter") return;
  event.preventDefault();
  event.target.click();
});
element("picture").addEventListener("change", (event) => take(event.target.files[0]));
addEventListener("paste", (event) => take([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))));
addEventListener("dragover", (event) => { event.preventDefault(); element("drop").classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) element("drop").classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  take(event.dataTransfer.files[0]);
});
