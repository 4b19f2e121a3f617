// The probability map of one prompt, where the run kept it: what the network said of each pixel, before objects were made of it.

import { squares, type Camera } from "./camera";
import { onScale } from "./colours";
import type { Box, MapFacts, ViewFacts } from "./facts";
import { Loader } from "./loader";
import type { Painter, Picture } from "./painter";
import { bytes } from "./server";

const KEPT = 60;
/** Most tiles in view; farther away nothing is drawn, and the legend says so. */
const TILES_AT_MOST = 60;
const STEPS = 255;
export const MAP_SCALE = "viridis";

interface Tile {
  picture: Picture;
  /** Probability of each pixel in steps of 1/255, and whether it was predicted. */
  values: Uint8Array;
  seen: Uint8Array;
}

export class ProbabilityMaps {
  readonly loader: Loader<Tile>;

  constructor(
    private readonly view: ViewFacts,
    private readonly painter: Painter,
    changed: () => void,
    failed: (error: unknown) => void,
  ) {
    const load = async (key: string, signal: AbortSignal) => {
      const found = await bytes(`maps/${key}.bin`, signal);
      if (!found) return null;
      const pixels = found.byteLength / 2;
      const [values, seen] = [new Uint8Array(found, 0, pixels), new Uint8Array(found, pixels)];
      return { values, seen, picture: painter.picture(painted(values, seen, view.tile_px), false) };
    };
    this.loader = new Loader<Tile>(load, changed, failed, KEPT, 4, (tile) => painter.forgetPicture(tile.picture));
  }

  /** Say which map is in view; null: none. */
  look(map: number | null, camera: Camera, box: Box): void {
    this.loader.want(this.keys(map, camera, box).map(([key]) => key));
  }

  draw(map: number | null, camera: Camera, box: Box, opacity: number): void {
    for (const [key, place] of this.keys(map, camera, box)) {
      const found = this.loader.get(key);
      if (found) this.painter.drawPicture(found.picture, place, opacity);
    }
  }

  /** Whether the view is so far away that the map is not drawn. */
  isFar(map: number, camera: Camera, box: Box): boolean {
    return this.tilesIn(this.view.maps[map], camera, box).length > TILES_AT_MOST;
  }

  /** The probability at a point in level-0 pixels, a mean where the view is far; NaN where nothing was predicted, null while it is not known. */
  at(map: number, camera: Camera, [x, y]: [number, number]): number | null {
    const { z, side } = this.lattice(this.view.maps[map], camera);
    const [column, row] = [Math.floor(x / side[0]), Math.floor(y / side[1])];
    const tile = this.loader.get(`${map}/${z}/${column}/${row}`);
    if (!tile) return null;
    const px = this.view.tile_px;
    const [right, down] = [Math.floor((x / side[0] - column) * px), Math.floor((y / side[1] - row) * px)];
    const at = down * px + right;
    return tile.seen[at] ? tile.values[at] / STEPS : NaN;
  }

  private keys(map: number | null, camera: Camera, box: Box): [string, Box][] {
    if (map === null) return [];
    const facts = this.view.maps[map];
    const { z, side } = this.lattice(facts, camera);
    const tiles = this.tilesIn(facts, camera, box);
    if (tiles.length > TILES_AT_MOST) return [];
    return tiles.map(([column, row]) => {
      const place = { x0: column * side[0], y0: row * side[1], x1: (column + 1) * side[0], y1: (row + 1) * side[1] };
      return [`${map}/${z}/${column}/${row}`, place];
    });
  }

  /** Columns and rows of the tiles that a box touches; the lattice may be wider in x than in y. */
  private tilesIn(facts: MapFacts, camera: Camera, box: Box): [number, number][] {
    const { side } = this.lattice(facts, camera);
    const scaled = { x0: box.x0 / side[0], y0: box.y0 / side[1], x1: box.x1 / side[0], y1: box.y1 / side[1] };
    const [width, height] = [(facts.width * facts.scale[0]) / side[0], (facts.height * facts.scale[1]) / side[1]];
    return squares(scaled, 1, { width, height });
  }

  /** The reduction that fits the camera, and the sides of its tiles in level-0 pixels. */
  private lattice(facts: MapFacts, camera: Camera): { z: number; side: [number, number] } {
    const wanted = Math.floor(-camera.zoom - Math.log2(facts.scale[0]));
    const z = Math.min(Math.max(wanted, 0), facts.max_z);
    const side = facts.scale.map((scale) => scale * this.view.tile_px * 2 ** z) as [number, number];
    return { z, side };
  }
}

/** Nothing where nothing was predicted; what is improbable lets the slide through. */
function painted(values: Uint8Array, seen: Uint8Array, side: number): ImageData {
  const inks = Array.from({ length: STEPS + 1 }, (_, value) => [...onScale(MAP_SCALE, value / STEPS), value]);
  const image = new ImageData(side, side);
  for (let at = 0; at < values.length; at++) if (seen[at] && values[at]) image.data.set(inks[values[at]], 4 * at);
  return image;
}
