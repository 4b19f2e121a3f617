// The slide by tiles: those of the fitting scale, and what is there of coarser ones until they have come.

import { reduction, squares, type Camera } from "./camera";
import type { Box, ViewFacts } from "./facts";
import { Loader } from "./loader";
import type { Painter, Picture } from "./painter";
import { picture } from "./server";

const KEPT = 160;

export class SlideTiles {
  readonly loader: Loader<Picture>;

  constructor(
    private readonly view: ViewFacts,
    private readonly painter: Painter,
    changed: () => void,
    failed: (error: unknown) => void,
  ) {
    const load = async (key: string, signal: AbortSignal) => {
      const found = await picture(`tiles/${key}.jpg`, signal);
      if (!found) return null;
      const made = painter.picture(found, true);
      found.close();
      return made;
    };
    this.loader = new Loader(load, changed, failed, KEPT, 6, (made) => painter.forgetPicture(made));
  }

  /** Say what is in view. The whole slide at its coarsest is always wanted: it is there when everything else is not. */
  look(camera: Camera, box: Box): void {
    const whole = { x0: 0, y0: 0, x1: this.view.width, y1: this.view.height };
    const coarsest = squares(whole, this.side(this.view.max_z), this.view);
    const base = coarsest.map(([column, row]) => `${this.view.max_z}/${column}/${row}`);
    this.loader.want([...new Set([...base, ...this.keys(camera, box)])]);
  }

  draw(camera: Camera, box: Box): void {
    const drawn = new Map<string, Picture>();
    for (const key of this.keys(camera, box)) {
      let [z, column, row] = key.split("/").map(Number);
      for (; z <= this.view.max_z; z++, column >>= 1, row >>= 1) {
        const found = this.loader.get(`${z}/${column}/${row}`);
        if (found) drawn.set(`${z}/${column}/${row}`, found);
        if (found !== undefined) break;
      }
    }
    const level = (key: string) => Number(key.split("/", 1)[0]);
    for (const [key, found] of [...drawn].sort((a, b) => level(b[0]) - level(a[0]))) this.drawTile(key, found);
  }

  private keys(camera: Camera, box: Box): string[] {
    const z = reduction(camera.zoom + Math.log2(Math.max(window.devicePixelRatio, 1)), this.view.max_z);
    return squares(box, this.side(z), this.view).map(([column, row]) => `${z}/${column}/${row}`);
  }

  private side(z: number): number {
    return this.view.tile_px * 2 ** z;
  }

  /** What a tile holds beyond the slide is not drawn. */
  private drawTile(key: string, found: Picture): void {
    const [z, column, row] = key.split("/").map(Number);
    const side = this.side(z);
    const [x0, y0] = [column * side, row * side];
    const [x1, y1] = [Math.min(x0 + side, this.view.width), Math.min(y0 + side, this.view.height)];
    this.painter.drawPicture(found, { x0, y0, x1, y1 }, 1, [0, 0, (x1 - x0) / side, (y1 - y0) / side]);
  }
}
