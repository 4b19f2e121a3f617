// The heat map: how many objects lie in each square of 16 screen pixels, summed over all of them.

import { reduction, squares, type Camera } from "./camera";
import { onScale } from "./colours";
import type { Box, LayerFacts, ViewFacts } from "./facts";
import { Loader } from "./loader";
import type { Painter, Picture } from "./painter";
import { bytes } from "./server";
import type { Shown } from "./shown";

/** Cells of a tile on each side. */
export const CELLS = 32;
const KEPT = 120;
const FINEST = 2;
/** From below to above: many objects are many thousand times one. */
export const HEAT_SCALE = "cividis";

/** What the legend says. */
export interface HeatLegend {
  /** The largest number of objects in a square, of those drawn. */
  most: number;
  /** Side of a square in level-0 pixels. */
  side: number;
}

export class Heat {
  readonly loader: Loader<Uint32Array<ArrayBuffer>>;
  legend: HeatLegend | null = null;
  private sums = new Map<string, Uint32Array>();
  private sumsOf = "";
  private drawn = new Map<string, { most: number; sum: Uint32Array; picture: Picture }>();

  constructor(
    private readonly view: ViewFacts,
    private readonly shown: Shown,
    private readonly painter: Painter,
    changed: () => void,
    failed: (error: unknown) => void,
  ) {
    const load = async (key: string, signal: AbortSignal) => {
      const found = await bytes(`density/${key}.bin`, signal);
      return found && new Uint32Array(found);
    };
    this.loader = new Loader(load, changed, failed, KEPT);
  }

  look(camera: Camera, box: Box): void {
    this.loader.want(this.keys(camera, box));
  }

  /** Nothing of it is in view. */
  rest(): void {
    this.loader.want([]);
    this.legend = null;
  }

  draw(camera: Camera, box: Box): void {
    const z = this.z(camera);
    const side = this.view.tile_px * 2 ** z;
    const sums = new Map<string, Uint32Array>();
    const style = `${this.shown.version}`;
    if (style !== this.sumsOf) [this.sums, this.sumsOf] = [new Map<string, Uint32Array>(), style];
    for (const [column, row] of squares(box, side, this.view)) {
      const sum = this.sum(`${z}/${column}/${row}`);
      if (sum) sums.set(`${z}/${column}/${row}`, sum);
    }
    let most = 0;
    for (const sum of sums.values()) for (const count of sum) most = Math.max(most, count);
    this.legend = { most, side: side / CELLS };
    if (!most) return;
    const kept = new Map<string, { most: number; sum: Uint32Array; picture: Picture }>();
    for (const [key, sum] of sums) {
      const old = this.drawn.get(key);
      const now = old?.sum === sum && old.most === most ? old : { most, sum, picture: this.painter.picture(painted(sum, most), false) };
      kept.set(key, now);
      const [, column, row] = key.split("/").map(Number);
      const [x0, y0] = [column * side, row * side];
      this.painter.drawPicture(now.picture, { x0, y0, x1: x0 + side, y1: y0 + side }, this.shown.look.heat);
    }
    for (const [key, old] of this.drawn) if (kept.get(key) !== old) this.painter.forgetPicture(old.picture);
    this.drawn = kept;
  }

  /** The sum over the layers, classes and bins that are shown; kept once all layers of the tile have come. */
  private sum(place: string): Uint32Array | null {
    const old = this.sums.get(place);
    if (old) return old;
    const sum = new Uint32Array(CELLS * CELLS);
    let whole = true;
    for (const layer of this.layersShown()) {
      const found = this.loader.get(`${layer.index}/${place}`);
      whole &&= found !== undefined;
      if (!found) continue;
      const first = layer.probability ? this.shown.firstBin(layer.bins) : 0;
      for (const row of layer.classes) {
        if (!this.shown.class(layer.index, row.index)) continue;
        for (let bin = first; bin < layer.bins; bin++) {
          const from = (row.index * layer.bins + bin) * CELLS * CELLS;
          for (let cell = 0; cell < CELLS * CELLS; cell++) sum[cell] += found[from + cell];
        }
      }
    }
    if (whole) this.sums.set(place, sum);
    return whole ? sum : null;
  }

  private keys(camera: Camera, box: Box): string[] {
    const z = this.z(camera);
    const places = squares(box, this.view.tile_px * 2 ** z, this.view);
    return this.layersShown().flatMap((layer) => places.map(([column, row]) => `${layer.index}/${z}/${column}/${row}`));
  }

  private z(camera: Camera): number {
    return Math.max(FINEST, reduction(camera.zoom, 20));
  }

  private layersShown(): LayerFacts[] {
    return this.view.layers.filter((layer) => this.shown.layer(layer.index));
  }
}

function painted(sum: Uint32Array, most: number): ImageData {
  const image = new ImageData(CELLS, CELLS);
  sum.forEach((count, cell) => {
    if (count) image.data.set([...onScale(HEAT_SCALE, Math.sqrt(count / most)), 255], 4 * cell);
  });
  return image;
}
