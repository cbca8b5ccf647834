// The picture that forms, the two it is compared with, and the slider between them.

import { label, say } from "./words.js";

const $ = (id) => document.getElementById(id);
const image = (arm) => (arm === "kimchi" ? $("picture") : $(`other-${arm}`).querySelector("img"));
let partner = "";

export function clear(arms) {
  partner = "";
  for (const arm of ["kimchi", "base", "translated"]) {
    const one = image(arm);
    one.hidden = true;
    one.removeAttribute("src");
    one.classList.remove("forming");
  }
  for (const arm of ["base", "translated"]) {
    const other = $(`other-${arm}`);
    other.hidden = !arms.includes(arm);
    other.disabled = true;
    other.setAttribute("aria-pressed", "false");
    other.querySelector(".frame").classList.remove("busy");
    say(other.querySelector(".note"), `arm_${arm}_note`);
    other.removeAttribute("data-l");
    other.removeAttribute("aria-label");
  }
  $("booth").toggleAttribute("data-alone", arms.length < 2);
  for (const id of ["under", "seam", "slider", "tag-left", "tag-right", "hint"]) $(id).hidden = true;
  busy("kimchi");
}

/** Which frame moves while its picture is awaited; none: all stand still. */
export function busy(arm) {
  $("frame").classList.toggle("busy", arm === "kimchi");
  for (const one of ["base", "translated"]) $(`other-${one}`).querySelector(".frame").classList.toggle("busy", arm === one);
}

export function forming({ arm, step, steps, image: source }) {
  const one = image(arm);
  one.src = source;
  one.hidden = false;
  one.classList.add("forming");
  // As wide as the noise is strong: what forms is seen, and pixels are not.
  one.style.setProperty("--blur", `${((1 - step / steps) * 1.4 + 0.5).toFixed(2)}vmin`);
}

export function drawn({ arm, image: source, prompt_en }, prompt) {
  const one = image(arm);
  one.src = source;
  one.hidden = false;
  one.classList.remove("forming");
  if (arm === "kimchi") {
    one.alt = prompt;
    $("tag-right").hidden = false;
    return;
  }
  const other = $(`other-${arm}`);
  other.disabled = false;
  label(other, "aria-label", "compare_with", { name: { key: `arm_${arm}` } });
  if (arm === "translated" && prompt_en) say(other.querySelector(".note"), "translated_as", { text: prompt_en });
}

/** Lay one of the others over KIMCHI's picture, up to the handle. */
export function compare(arm) {
  partner = arm;
  for (const one of ["base", "translated"]) $(`other-${one}`).setAttribute("aria-pressed", String(one === arm));
  $("under").src = image(arm).src;
  for (const id of ["under", "seam", "slider", "tag-left"]) $(id).hidden = false;
  $("hint").hidden = $("slider").dataset.moved === "1";
  say($("tag-left"), `arm_${arm}`);
  place(50);
}

export const compared = () => partner;

export function place(percent) {
  $("slider").value = percent;
  $("frame").style.setProperty("--at", `${percent}%`);
  $("tag-left").hidden = percent < 16 || !partner;
  $("tag-right").hidden = percent > 84;
}

/** How far it is: five colours fill one after the other. */
export function progress(share) {
  $("bars").setAttribute("aria-valuenow", String(Math.round(share * 100)));
  [...$("bars").children].forEach((bar, n) => bar.style.setProperty("--done", String(Math.min(1, Math.max(0, share * 5 - n)))));
}

export function listen() {
  const slider = $("slider");
  slider.addEventListener("input", () => {
    slider.dataset.moved = "1";
    $("hint").hidden = true;
    place(Number(slider.value));
  });
  for (const arm of ["base", "translated"]) $(`other-${arm}`).addEventListener("click", () => compare(arm));
}
