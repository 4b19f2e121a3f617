// The list of layers and classes: switches, colours, and how many objects of each are in view.

import { classColour } from "./cells";
import { css } from "./colours";
import { byId, element, grouped, swatch, Switches, write } from "./dom";
import type { ClassRow, LayerFacts } from "./facts";
import type { Shown } from "./shown";
import type { Stage } from "./stage";

export class ClassList {
  private readonly numbers = new Map<string, HTMLElement>();
  private readonly swatches: [HTMLElement, LayerFacts, number][] = [];
  private readonly total = byId("total");
  private readonly switches = new Switches();

  constructor(
    private readonly stage: Stage,
    private readonly shown: Shown,
  ) {
    const { layers } = stage.view;
    const host = byId("classes");
    if (!layers.length) {
      host.append(element("p", { class: "quiet" }, "This is a slide without a result: there are no objects to show."));
      byId("counted").remove();
      return;
    }
    for (const layer of layers) host.append(this.group(layer));
    shown.listen(() => this.renewSwitches());
    stage.listen(() => this.renewNumbers());
    this.renewSwitches();
  }

  private group(layer: LayerFacts): HTMLElement {
    const { shown } = this;
    const name = `${layer.index}`;
    const title = this.switches.box([layer.name], () => shown.layer(layer.index), (on) => shown.toggle(name, on));
    const group = element("fieldset", {}, element("legend", {}, title, this.number(name)));
    if (!layer.objects) group.append(element("p", { class: "quiet row" }, "No objects were found."));
    const several = new Set(layer.classes.map((row) => row.prompt)).size > 1;
    let prompt: string | null = null;
    for (const row of layer.classes) {
      if (several && row.prompt !== prompt) group.append(element("p", { class: "quiet prompt" }, `“${row.prompt}”`));
      prompt = row.prompt;
      group.append(this.row(layer, row));
    }
    if (layer.classes.length > 1) group.append(this.buttons(layer));
    return group;
  }

  private row(layer: LayerFacts, row: ClassRow): HTMLElement {
    const { shown } = this;
    const key = `${layer.index}.${row.index}`;
    const colour = swatch("", row.unsure);
    this.swatches.push([colour, layer, row.index]);
    const label = this.switches.box([colour, row.name], () => !shown.look.off.has(key), (on) => shown.toggle(key, on));
    const kind = row.kind ? ` (${row.kind})` : "";
    label.title = `Prompt: ${row.prompt}${kind}. ${grouped(row.objects)} on the slide. ${row.unsure ? "Unsure: dashed." : ""}`;
    return element("div", { class: row.unsure ? "row unsure" : "row" }, label, this.number(key));
  }

  private buttons(layer: LayerFacts): HTMLElement {
    const { shown } = this;
    const names = (wanted: (row: ClassRow) => boolean) => layer.classes.filter(wanted).map((row) => `${layer.index}.${row.index}`);
    const choose = (label: string, wanted: (row: ClassRow) => boolean) =>
      element("button", {
        type: "button",
        click: () => {
          shown.toggleAll(names((row) => !wanted(row)), false);
          shown.toggleAll(names(wanted), true);
        },
      }, label);
    const bothKinds = layer.classes.some((row) => row.unsure) && layer.classes.some((row) => !row.unsure);
    const sure = [choose("Sure", (row) => !row.unsure), choose("Unsure", (row) => row.unsure)];
    return element("div", { class: "buttons" }, choose("All", () => true), choose("None", () => false), ...(bothKinds ? sure : []));
  }

  private number(key: string): HTMLElement {
    const made = element("span", { class: "number" });
    this.numbers.set(key, made);
    return made;
  }

  private renewSwitches(): void {
    this.switches.renew();
    for (const [one, layer, index] of this.swatches) one.style.borderColor = css(classColour(layer, index, this.shown.look.safe));
  }

  private renewNumbers(): void {
    const counts = this.stage.counts();
    const text = (count: number | undefined) => (count === undefined ? "…" : grouped(count));
    let total = 0;
    this.stage.view.layers.forEach((layer, at) => {
      layer.classes.forEach((row) => write(this.numbers.get(`${layer.index}.${row.index}`)!, text(counts?.[at][row.index])));
      const sum = counts?.[at].reduce((a, b) => a + b, 0);
      total += sum ?? 0;
      write(this.numbers.get(`${layer.index}`)!, text(sum));
    });
    write(this.total, text(counts ? total : undefined));
  }
}
