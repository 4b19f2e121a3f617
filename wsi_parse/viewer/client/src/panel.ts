// The side panel: its width, whether it is there, and what comes first in it: the cautions.

import { byId, element } from "./dom";
import type { ViewFacts } from "./facts";

const [NARROWEST, WIDEST, STEP] = [220, 640, 20];

export function startPanel(): void {
  const handle = byId("handle");
  const set = (wanted: number) => {
    const width = Math.min(Math.max(wanted, NARROWEST), WIDEST);
    document.documentElement.style.setProperty("--panel", `${width}px`);
    handle.setAttribute("aria-valuenow", String(Math.round(width)));
  };
  const move = (event: PointerEvent) => set(event.clientX);
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", move);
  });
  handle.addEventListener("lostpointercapture", () => handle.removeEventListener("pointermove", move));
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
    if (by) set(byId("panel").getBoundingClientRect().width + by);
  });
  byId("fold").addEventListener("click", () => {
    const folded = document.body.classList.toggle("folded");
    byId("fold").setAttribute("aria-expanded", String(!folded));
  });
}

export function fillHead(view: ViewFacts): void {
  document.title = `${view.name} · wsi-parse`;
  byId("name").textContent = view.name;
  const prompts = view.prompts.map((one) => `“${one}”`).join(", ");
  byId("about").textContent = [view.model && `Model ${view.model}`, prompts].filter(Boolean).join(" · ");
  byId("research").textContent = view.research_use;
  if (view.cohort) byId("back").hidden = false;
  const items = view.cautions.map(({ sentence, remedy }) =>
    element("li", {}, sentence, remedy && element("span", { class: "remedy" }, ` ${remedy}`)),
  );
  if (!items.length) return;
  byId("cautions").append(
    element("details", { open: items.length < 3 }, element("summary", {}, items.length > 1 ? `${items.length} cautions` : "Caution"), element("ul", {}, ...items)),
  );
}
