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
/** So many objects are stepped through, of the classes that are shown. */
const OBJECTS = 100;

interface Stop {
  box: Box;
  text: string;
  /** The object that is meant, of the run. */
  object?: Doubtful;
}

export class Steps {
  private readonly text = element("p", { class: "quiet", "aria-live": "polite" });
  private readonly kind = element("select", { id: "kind", change: () => this.choose() });
  private stops: Stop[][] = [];

  private last: Stop | null = null;

  constructor(
    private readonly stage: Stage,
    private readonly details: Details,
  ) {
    byId("steps").append(element("p", { class: "quiet" }, "They are being chosen …"));
  }

  /** Take the places, as soon as they have come. */
  offer(places: Places): void {
    const kinds: [string, Stop[]][] = [["Least certain objects", places.objects.map((one) => around(one, this.stage.view))]];
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
    this.kind.append(...filled.map(([name], index) => element("option", { value: `${index}` }, name)));
    this.kind.setAttribute("aria-label", "Which places");
    host.replaceChildren(this.kind, element("div", { class: "buttons" }, step("Previous (p)", -1), step("Next (n)", 1)), this.text);
  }

  step(by: 1 | -1): void {
    const stops = this.shown();
    if (!stops.length) {
      write(this.text, "None of the classes that are shown.");
      return;
    }
    // Switches may have changed what there is: it goes on from where the last one was, if that is still there.
    const at = this.last ? stops.indexOf(this.last) : -1;
    const next = at < 0 ? (by > 0 ? 0 : stops.length - 1) : (at + by + stops.length) % stops.length;
    this.last = stops[next];
    const { box, text, object } = this.last;
    this.stage.goToBox(box, object ? 1 : ROOM);
    // An object has an outline of its own; a field gets a frame.
    this.stage.setMark(object ? null : box);
    this.details.select(object ? { layer: 0, row: object.row } : null);
    write(this.text, `${next + 1} of ${stops.length}: ${text}`);
  }

  /** Nothing is marked any more. */
  clear(): void {
    this.stage.setMark(null);
  }

  /** The places of the chosen kind; of objects those of the classes that are shown. */
  private shown(): Stop[] {
    const { shown } = this.stage;
    const stops = this.stops[Number(this.kind.value)] ?? [];
    return stops.filter(({ object }) => !object || shown.class(0, object.class_index)).slice(0, stops[0]?.object ? OBJECTS : undefined);
  }

  private choose(): void {
    this.last = null;
    this.clear();
    this.step(1);
  }
}

function around(one: Doubtful, view: ViewFacts): Stop {
  const half = (view.mpp ? SIDE_UM / view.mpp[0] : SIDE_PX) / 2;
  const box = { x0: one.x - half, y0: one.y - half, x1: one.x + half, y1: one.y + half };
  return { box, text: one.text, object: one };
}
