// Two pictures with a line between them, and the faces drawn over both.

const compare = document.getElementById("compare");

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function drawFaces({ image, detections }) {
  const svg = document.getElementById("faces");
  svg.setAttribute("viewBox", `0 0 ${image.width} ${image.height}`);
  const unit = Math.max(image.width, image.height) / 400;
  const boxes = shape("g", { class: "boxes", "stroke-width": unit });
  const scores = shape("g", { class: "scores" });
  const landmarks = shape("g", { class: "landmarks" });
  for (const { bbox, confidence, landmarks: points } of detections) {
    const { x1, y1, x2, y2 } = bbox;
    boxes.append(shape("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, rx: unit * 2 }));
    const label = shape("text", { x: x1 + unit * 2, y: Math.max(unit * 11, y1 - unit * 3), "font-size": unit * 10, "stroke-width": unit * 2.5 });
    label.textContent = `${Math.round(confidence * 100)}%`;
    scores.append(label);
    for (const point of Object.values(points ?? {})) {
      landmarks.append(shape("circle", { cx: point.x, cy: point.y, r: unit * 1.6 }));
    }
  }
  svg.replaceChildren(boxes, landmarks, scores);
}

document.getElementById("cut")?.addEventListener("input", (event) => compare.style.setProperty("--cut", `${event.target.value}%`));
for (const name of ["boxes", "landmarks", "scores"]) {
  document.getElementById(`show-${name}`)?.addEventListener("change", (event) => {
    document.getElementById("faces").classList.toggle(`without-${name}`, !event.target.checked);
  });
}

if (compare?.dataset.faces) {
  const data = JSON.parse(compare.dataset.faces);
  compare.style.setProperty("--ratio", `${data.image.width} / ${data.image.height}`);
  compare.style.setProperty("--width", `${data.image.width}px`);
  drawFaces(data);
}
