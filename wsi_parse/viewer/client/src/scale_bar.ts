// Scale bar and coordinates, as QuPath counts them.

import { brief, byId, write } from "./dom";
import type { Gestures } from "./gestures";
import type { Stage } from "./stage";

const WIDEST_PX = 160;

/** The longest of 1, 2, 5, 10, … that is no longer than a length. */
export function round(length: number): number {
  const power = 10 ** Math.floor(Math.log10(length));
  return [5, 2, 1].map((digit) => digit * power).find((value) => value <= length * (1 + 1e-9))!;
}

export class ScaleBar {
  private readonly bar = byId("bar");
  private readonly length = byId("length");
  private readonly place = byId("place");

  constructor(
    private readonly stage: Stage,
    private readonly gestures: Gestures,
  ) {
    stage.listen(() => this.renew());
    gestures.onPoint(() => this.renewPlace());
  }

  private renew(): void {
    const { camera, view } = this.stage;
    const perPixel = 2 ** -camera.zoom * (view.mpp ? view.mpp[0] : 1);
    const length = round(perPixel * WIDEST_PX);
    this.bar.style.width = `${length / perPixel}px`;
    const [number, unit] = view.mpp ? (length >= 1000 ? [length / 1000, "mm"] : [length, "µm"]) : [length, "px"];
    write(this.length, `${brief(number)} ${unit}`);
    this.renewPlace();
  }

  /** What the map that is shown says of a point. */
  private probability(at: [number, number]): string {
    const { camera, maps, shown, view } = this.stage;
    const map = shown.look.map;
    const found = map === null ? null : maps.at(map, camera, at);
    if (map === null || found === null) return "";
    return Number.isNaN(found) ? ", not predicted" : `, ${view.maps[map].prompt} ${found.toFixed(2)}`;
  }

  private renewPlace(): void {
    const { camera, view } = this.stage;
    const at = this.gestures.pointer ?? [camera.x, camera.y];
    const [x, y] = at.map((value, axis) => Math.floor(value - view.offset_level0_px[axis]));
    write(this.place, `x ${x}, y ${y} px${this.probability(at as [number, number])}`);
  }
}
