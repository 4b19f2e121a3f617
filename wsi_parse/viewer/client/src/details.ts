// Details: what is known of the object that was picked.

import { classColour } from "./cells";
import { css } from "./colours";
import { brief, byId, element, swatch } from "./dom";
import type { ObjectFacts } from "./facts";
import { json } from "./server";
import type { Stage } from "./stage";

/** An object: its layer, and its row there. */
export interface Picked {
  layer: number;
  row: number;
}

export class Details {
  /** The object that is picked. */
  picked: Picked | null = null;
  private readonly host = byId("details");

  constructor(
    private readonly stage: Stage,
    private readonly failed: (error: unknown, again: () => void) => void,
  ) {
    this.clear();
  }

  /** Pick what is at a point of the canvas, or nothing. */
  pick(x: number, y: number): void {
    this.select(this.stage.objectAt(x, y));
  }

  /** Pick an object, wherever it is, or nothing. */
  select(wanted: Picked | null): void {
    const layer = this.stage.view.layers.find((one) => one.index === wanted?.layer);
    if (!wanted || !layer || wanted.row >= layer.objects) {
      this.clear();
      return;
    }
    if (this.picked?.layer === wanted.layer && this.picked.row === wanted.row) return;
    void this.tell({ layer: wanted.layer, row: wanted.row });
  }

  clear(): void {
    this.picked = null;
    this.stage.pick(null);
    const what = "Click an outline to see its measurements. Enter picks what is in the middle.";
    this.host.replaceChildren(element("p", { class: "quiet" }, what));
  }

  private async tell(picked: Picked): Promise<void> {
    this.picked = picked;
    this.stage.pick(picked);
    try {
      const facts = await json<ObjectFacts>(`object/${picked.layer}/${picked.row}`);
      if (this.picked === picked) this.fill(facts, picked.layer);
    } catch (error) {
      if (this.picked !== picked) return;
      // What stands there is of another object.
      this.clear();
      this.failed(error, () => void this.tell(picked));
    }
  }

  private fill(found: ObjectFacts, layerIndex: number): void {
    const { view, shown } = this.stage;
    const layer = view.layers.find((one) => one.index === layerIndex)!;
    const [x, y] = found.centroid.map((value, axis) => value - view.offset_level0_px[axis]);
    const copy = element("button", { type: "button", click: () => void copied(found.id, copy) }, "Copy id");
    const rows: [string, string][] = [
      ["Prompt", found.prompt],
      ["Kind", found.kind],
      ["Layer", layer.name],
      ["Centroid (px)", `${x.toFixed(1)}, ${y.toFixed(1)}`],
      ...Object.entries(found.measurements).map(([name, value]): [string, string] => [name, value === null ? "–" : brief(value)]),
    ];
    const colour = css(classColour(layer, found.class_index, shown.look.safe));
    this.host.replaceChildren(
      element("p", { class: "class" }, swatch(colour, found.unsure), found.class_name, found.unsure && !/unsure/i.test(found.class_name) && " (unsure)"),
      element("p", { class: "id" }, element("code", {}, found.id), " ", copy),
      element("table", {}, element("tbody", {}, ...rows.filter(([, value]) => value).map(row))),
    );
    this.host.closest("section")!.scrollIntoView({ block: "nearest" });
  }
}

function row([name, value]: [string, string]): HTMLElement {
  return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value));
}

async function copied(text: string, button: HTMLButtonElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed: select it and copy it";
  }
  window.setTimeout(() => (button.textContent = "Copy id"), 1500);
}
