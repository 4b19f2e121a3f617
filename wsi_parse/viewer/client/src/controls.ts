// Controls: the threshold, what gives outlines their colour, what else is drawn, and the legends.

import { VALUE_SCALE } from "./cells";
import { gradient, type ScaleName } from "./colours";
import { brief, byId, element, grouped, Switches, write } from "./dom";
import type { Areas } from "./facts";
import { HEAT_SCALE } from "./heat";
import { MAP_SCALE } from "./maps";
import type { Look, Shown } from "./shown";
import { OBJECTS_AT_MOST, type Stage } from "./stage";

type Flag = "slide" | "outlines" | keyof Areas | "heatNear" | "safe";

export class Controls {
  private readonly slider = element("input", { type: "range", min: "0", max: "1", step: "0.01", id: "threshold", input: () => this.slid() });
  private readonly sliderText = element("output", { for: "threshold" });
  private readonly by = element("select", { id: "by", change: () => this.shown.change({ by: this.by.value || null }) });
  private readonly map = element("select", { id: "map-of", change: () => this.mapped() });
  private readonly heat = element("input", { type: "range", min: "0", max: "1", step: "0.05", id: "heat", input: () => this.heated() });
  private readonly legend = byId("legend");
  private readonly switches = new Switches();
  private readonly bins: number;
  private said = "";

  private readonly areas = element("div");

  constructor(
    private readonly stage: Stage,
    private readonly shown: Shown,
  ) {
    const { layers } = stage.view;
    this.bins = layers[0]?.bins ?? 32;
    if (layers.some((layer) => layer.probability)) {
      byId("probability").append(element("label", { for: "threshold" }, "Class probability at least ", this.sliderText), this.slider);
    } else byId("probability").remove();
    const names = [...new Set(layers.flatMap((layer) => layer.measurements.map((one) => one.name)))];
    if (names.length) {
      this.by.append(element("option", { value: "" }, "class"), ...names.map((name) => element("option", { value: name }, name)));
      byId("colour").append(element("label", { for: "by" }, "Colour by "), this.by);
    } else byId("colour").remove();
    this.fill();
    shown.listen(() => this.renew());
    stage.listen(() => this.renew());
    this.renew();
  }

  /** Switches for the areas that there are, as soon as they have come. */
  offer(areas: Areas): void {
    const names: [keyof Areas, string][] = [["tissue", "Outline of the tissue"], ["roi", "Region of interest"], ["unreadable", "What could not be read"]];
    this.areas.append(...names.filter(([name]) => areas[name].length).map(([name, label]) => this.flag(label, name)));
  }

  private flag(label: string, name: Flag): HTMLElement {
    return this.switches.box([label], () => this.shown.look[name], (on) => this.shown.change({ [name]: on } as Partial<Look>));
  }

  private fill(): void {
    const { look } = this.shown;
    const host = byId("switches");
    host.append(this.flag("Slide", "slide"), this.areas);
    const { layers, maps } = this.stage.view;
    if (maps.length) {
      const names = maps.map((one, index) => element("option", { value: `${index}` }, one.prompt));
      this.map.append(element("option", { value: "" }, "none"), ...names);
      host.append(element("label", { for: "map-of" }, "Probability map "), this.map);
    }
    if (!layers.length) return;
    host.append(
      this.flag("Outlines of objects", "outlines"),
      this.flag("Heat map under the outlines, too", "heatNear"),
      this.flag("Class colours for the colour-blind", "safe"),
      element("label", { for: "heat" }, maps.length ? "Opacity of heat map and probability map" : "Opacity of the heat map"),
      this.heat,
    );
    this.heat.value = String(look.heat);
  }

  private slid(): void {
    this.shown.change({ threshold: Number(this.slider.value) });
  }

  private mapped(): void {
    this.shown.change({ map: this.map.value === "" ? null : Number(this.map.value) });
  }

  private heated(): void {
    this.shown.change({ heat: Number(this.heat.value) });
  }

  private renew(): void {
    const { look } = this.shown;
    const { near } = this.stage;
    this.switches.renew();
    this.slider.step = near ? "0.01" : String(1 / this.bins);
    this.slider.max = near ? "1" : String(1 - 1 / this.bins);
    // Far away objects are counted in bins, of which only the edges are exact.
    const threshold = near ? look.threshold : this.shown.firstBin(this.bins) / this.bins;
    this.slider.value = String(threshold);
    write(this.sliderText, threshold.toFixed(near ? 2 : 3));
    this.by.value = look.by ?? "";
    this.heat.value = String(look.heat);
    this.map.value = look.map === null ? "" : String(look.map);
    this.renewLegend();
  }

  private renewLegend(): void {
    const { stage, shown } = this;
    const { near, view } = stage;
    const heat = stage.heat.legend;
    const by = near ? view.layers.flatMap((layer) => layer.measurements).find((one) => one.name === shown.look.by) : null;
    const map = shown.look.map === null ? null : view.maps[shown.look.map];
    const isFar = map !== null && stage.maps.isFar(shown.look.map!, stage.camera, stage.box);
    const said = JSON.stringify([near, heat, by, map, isFar]);
    if (said === this.said) return;
    this.said = said;
    this.legend.replaceChildren();
    if (!view.layers.length) return;
    if (map && isFar) this.legend.append(element("p", { class: "quiet" }, "Come nearer to see the probability map."));
    if (map && !isFar) {
      const what = map.meaning === "target" ? `“${map.prompt}”` : `a cell that is of “${map.prompt}”`;
      this.legend.append(scale(MAP_SCALE, "0", "0.5", "1", `Probability of ${what}; the fainter, the less probable. The number at the pointer tells 0 from what was not predicted.`));
    }
    this.legend.append(
      element("p", { id: "mode" }, near ? "Near: each object has its outline." : "Far: each square shows a count."),
    );
    if (by && by.p02 !== null && by.p98 !== null) {
      this.legend.append(scale(VALUE_SCALE, brief(by.p02), "", brief(by.p98), `${by.name}. What is beyond has the last colour, what has no value is grey.`));
    }
    if (heat?.most) {
      const side = view.mpp ? `${brief(heat.side * view.mpp[0])} µm` : `${brief(heat.side)} px`;
      // The scale goes by the square root, so that few objects are seen beside many.
      const middle = Math.round(heat.most / 4);
      this.legend.append(
        scale(HEAT_SCALE, "0", grouped(middle), grouped(heat.most), `Objects in a square with a side of ${side}. All are counted, none is left out.`),
      );
    }
    if (!near) {
      this.legend.append(element("p", { class: "quiet" }, `Come nearer for outlines: they are drawn where at most ${grouped(OBJECTS_AT_MOST)} objects are in view.`));
    }
  }
}

function scale(name: ScaleName, low: string, middle: string, high: string, what: string): HTMLElement {
  const bar = element("div", { class: "scale", "aria-hidden": "true" });
  bar.style.backgroundImage = gradient(name);
  const ends = [low, middle, high].map((text) => element("span", {}, text));
  return element("div", {}, bar, element("div", { class: "ends" }, ...ends), element("p", { class: "quiet" }, what));
}
