// Places to look at, one after another: the least certain objects, and the fields of the report.

import { byId, element, write } from "./dom";
import type { Box, Places, ViewFacts } from "./facts";
import type { Stage } from "./stage";

const SIDE_UM = 64;
const SIDE_PX = 256;
/** So much more than the place is shown. */
const ROOM = 1.6;

interface Stop extends Box {
  text: string;
}

export class Steps {
  private at = -1;
  private readonly text = element("p", { class: "quiet", "aria-live": "polite" });
  private readonly kind = element("select", { id: "kind", change: () => this.choose() });
  private readonly stops: Stop[][];

  constructor(
    private readonly stage: Stage,
    places: Places,
  ) {
    // Where the report's fields have them, they are not listed twice.
    const told = new Set(places.fields.map((one) => one.text));
    const uncertain = places.least_certain.filter((one) => !told.has(one.text)).map((one) => around(one, stage.view));
    const kinds: [string, Stop[]][] = [["Least certain objects", uncertain]];
    for (const field of places.fields) {
      const known = kinds.find(([name]) => name === field.kind);
      if (known) known[1].push(field);
      else kinds.push([field.kind, [field]]);
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
    const stop = stops[this.at];
    this.stage.goToBox(stop, ROOM);
    this.stage.setMark(stop);
    write(this.text, `${this.at + 1} of ${stops.length}: ${stop.text}`);
  }

  private choose(): void {
    this.at = -1;
    this.stage.setMark(null);
    this.step(1);
  }
}

function around(place: { x: number; y: number; side_um?: number; text: string }, view: ViewFacts): Stop {
  const half = (view.mpp ? (place.side_um ?? SIDE_UM) / view.mpp[0] : SIDE_PX) / 2;
  return { x0: place.x - half, y0: place.y - half, x1: place.x + half, y1: place.y + half, text: place.text };
}
