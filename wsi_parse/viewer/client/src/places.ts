// Places to look at, one after another: the least certain objects, and the fields of the report.

import type { Details } from "./details";
import { byId, element, write } from "./dom";
import type { Box, Doubtful, Places, ViewFacts } from "./facts";
import type { Stage } from "./stage";

/** Side of what is shown around an object. */
const SIDE_UM = 50;
const SIDE_PX = 200;
/** So much more than a field is shown. */
const ROOM = 1.6;

interface Stop {
  box: Box;
  text: string;
  /** The object that is meant, of the run. */
  row?: number;
}

export class Steps {
  private at = -1;
  private readonly text = element("p", { class: "quiet", "aria-live": "polite" });
  private readonly kind = element("select", { id: "kind", change: () => this.choose() });
  private readonly stops: Stop[][];

  constructor(
    private readonly stage: Stage,
    private readonly details: Details,
    places: Places,
  ) {
    const kinds: [string, Stop[]][] = [["Least certain objects", places.objects.map((one) => around(one, stage.view))]];
    for (const { kind, text, ...box } of places.fields) {
      const name = `${kind} fields`;
      const known = kinds.find(([other]) => other === name);
      if (known) known[1].push({ box, text });
      else kinds.push([name, [{ box, text }]]);
    }
    const filled = kinds.filter(([, stops]) => stops.length);
    this.stops = filled.map(([, stops]) => stops);
    const host = byId("steps");
    if (!filled.length) {
      host.closest("section")!.remove();
      return;
    }
    const step = (label: string, by: 1 | -1) => element("button", { type: "button", click: () => this.step(by) }, label);
    this.kind.append(...filled.map(([name, stops], index) => element("option", { value: `${index}` }, `${name} (${stops.length})`)));
    this.kind.setAttribute("aria-label", "Which places");
    host.append(this.kind, element("div", { class: "buttons" }, step("Previous (p)", -1), step("Next (n)", 1)), this.text);
  }

  step(by: 1 | -1): void {
    const stops = this.stops[Number(this.kind.value)] ?? [];
    if (!stops.length) return;
    this.at = this.at < 0 ? (by > 0 ? 0 : stops.length - 1) : (this.at + by + stops.length) % stops.length;
    const { box, text, row } = stops[this.at];
    this.stage.goToBox(box, row === undefined ? ROOM : 1);
    // An object has an outline of its own; a field gets a frame.
    this.stage.setMark(row === undefined ? box : null);
    this.details.select(row === undefined ? null : { layer: 0, row });
    write(this.text, `${this.at + 1} of ${stops.length}: ${text}`);
  }

  private choose(): void {
    this.at = -1;
    this.stage.setMark(null);
    this.step(1);
  }
}

function around(one: Doubtful, view: ViewFacts): Stop {
  const half = (view.mpp ? SIDE_UM / view.mpp[0] : SIDE_PX) / 2;
  const box = { x0: one.x - half, y0: one.y - half, x1: one.x + half, y1: one.y + half };
  return { box, text: one.text, row: one.row };
}
