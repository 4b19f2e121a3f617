// The list of a cohort: each slide with a small picture, its state and its cautions; a click opens it.

import { byId, element, grouped } from "./dom";
import type { CohortSlide } from "./facts";
import { json } from "./server";

export async function showCohort(): Promise<void> {
  const { slides } = await json<{ slides: CohortSlide[] }>("/cohort.json");
  document.title = `${slides.length} slides · wsi-parse`;
  document.body.classList.add("cohort");
  const list = element("ul", { class: "slides" }, ...slides.map(card));
  const filter = element("input", {
    type: "search",
    id: "filter",
    placeholder: "part of a name",
    input: () => slides.forEach((slide, at) => ((list.children[at] as HTMLElement).hidden = !slide.name.toLowerCase().includes(filter.value.toLowerCase()))),
  });
  byId("cohort").append(
    element("h1", {}, `${grouped(slides.length)} slides`),
    element("p", { class: "quiet" }, "Research use only, not for clinical decisions."),
    element("p", {}, element("label", { for: "filter" }, "Show "), filter),
    list,
  );
  byId("cohort").hidden = false;
  byId("loading").hidden = true;
}

function card(slide: CohortSlide): HTMLElement {
  const opens = slide.state !== "failed";
  const image = element("img", { src: `/s/${slide.n}/thumbnail.jpg`, alt: "", loading: "lazy", width: "220", height: "160" });
  image.addEventListener("error", () => image.remove());
  const name = opens ? element("a", { href: `/s/${slide.n}/` }, slide.name) : element("span", {}, slide.name);
  const count = slide.objects === null ? slide.state : `${grouped(slide.objects)} objects`;
  return element(
    "li",
    { class: slide.state },
    opens && image,
    element("h2", {}, name),
    element("p", { class: "quiet" }, count),
    element("ul", { class: "cautions" }, ...slide.cautions.map((code) => element("li", {}, code))),
  );
}
