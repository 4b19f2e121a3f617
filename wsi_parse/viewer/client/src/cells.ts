// The objects of a layer that are near: the cells in view and the large objects, their outlines, their number, and what lies under a finger.

import { squares } from "./camera";
import { onScale, rgb, safe, type Rgb } from "./colours";
import type { Box, LayerFacts, Measurement } from "./facts";
import { Loader } from "./loader";
import { decoded, isIn, objectAt, type Objects } from "./objects";
import { closed, coloured, type Rings, type Stroke } from "./outlines";
import type { Lines, Painter } from "./painter";
import { bytes } from "./server";
import type { Shown } from "./shown";

/** Most cells in view; where more are, density is shown. */
export const CELLS_AT_MOST = 400;
const KEPT = 450;
const LARGE = "large";
const NO_VALUE: Rgb = [150, 150, 150];
export const VALUE_SCALE = "viridis";

interface Cell {
  objects: Objects;
  rings: Rings;
  lines: Lines;
  /** What the colours were made for. */
  colouredFor: string;
}

/** An object of a cell. */
export interface Found {
  layer: number;
  row: number;
  objects: Objects;
  index: number;
}

export class LayerCells {
  readonly cells: Loader<Cell>;
  readonly values: Loader<Float32Array<ArrayBuffer>>;
  private keys: string[] = [];

  constructor(
    readonly layer: LayerFacts,
    private readonly shown: Shown,
    private readonly painter: Painter,
    changed: () => void,
    failed: (error: unknown) => void,
  ) {
    const load = async (key: string, signal: AbortSignal) => {
      const found = await bytes(key === LARGE ? `large/${layer.index}.bin` : `objects/${layer.index}/${key}.bin`, signal);
      if (!found) return null;
      const objects = decoded(found);
      const rings = closed(objects);
      return { objects, rings, lines: painter.createLines(rings.points, objects.origin), colouredFor: "" };
    };
    this.cells = new Loader(load, changed, failed, KEPT, 6, (cell) => painter.forgetLines(cell.lines));
    const loadValues = async (key: string, signal: AbortSignal) => {
      const found = await bytes(`values/${layer.index}/${key}.bin`, signal);
      return found && new Float32Array(found);
    };
    this.values = new Loader(loadValues, changed, failed, KEPT);
  }

  /** Say what is in view; null: nothing near, large objects aside. */
  look(box: Box | null): void {
    const near = box ? squares(box, this.layer.cell_px).map(([column, row]) => `${column}/${row}`) : [];
    this.keys = this.shown.layer(this.layer.index) ? [...(this.layer.large ? [LARGE] : []), ...near] : [];
    this.cells.want(this.keys);
    this.values.want(this.measurement ? this.keys.map((key) => this.valuesKey(key)) : []);
  }

  /** Whether everything in view has come. */
  get complete(): boolean {
    return this.cells.has(this.keys);
  }

  draw(width: number, halo: Rgb | null): void {
    for (const cell of this.drawn()) {
      if (halo) this.painter.drawLines(cell.lines, width + 2, halo, 0.55);
    }
    for (const cell of this.drawn()) this.painter.drawLines(cell.lines, width);
  }

  /** How many objects in a box are shown, by class. */
  count(box: Box): number[] {
    const counts = this.layer.classes.map(() => 0);
    for (const { objects } of this.inView()) {
      for (let index = 0; index < objects.rows.length; index++) {
        if (!isIn(objects, index, box)) continue;
        if (this.isShown(objects, index)) counts[objects.classIndex[index]] += 1;
      }
    }
    return counts;
  }

  /** The smallest shown object at a point. */
  at(x: number, y: number): (Found & { area: number }) | null {
    let best: (Found & { area: number }) | null = null;
    for (const { objects } of this.inView()) {
      const side = 2 * this.layer.cell_px;
      const [left, top] = [x - objects.origin[0], y - objects.origin[1]];
      const isLarge = this.cells.get(LARGE)?.objects === objects;
      if (!isLarge && (left < -side || top < -side || left > side || top > side)) continue;
      const found = objectAt(objects, x, y, (index) => this.isShown(objects, index));
      if (found && (!best || found.area < best.area)) {
        best = { layer: this.layer.index, row: objects.rows[found.index], objects, index: found.index, area: found.area };
      }
    }
    return best;
  }

  /** The object of a row, if it is among what has come. */
  ofRow(row: number): Found | null {
    for (const { objects } of this.inView()) {
      const index = objects.rows.indexOf(row);
      if (index >= 0) return { layer: this.layer.index, row, objects, index };
    }
    return null;
  }

  /** Pieces of lines that are drawn. */
  get pieces(): number {
    return this.inView().reduce((sum, cell) => sum + cell.lines.pieces, 0);
  }

  private get measurement(): Measurement | null {
    return this.layer.measurements.find((one) => one.name === this.shown.look.by) ?? null;
  }

  private valuesKey(key: string): string {
    return `${this.layer.measurements.indexOf(this.measurement!)}/${key}`;
  }

  private isShown(objects: Objects, index: number): boolean {
    const probability = this.layer.probability ? objects.probability[index] : NaN;
    return this.shown.object(this.layer.index, objects.classIndex[index], probability);
  }

  private inView(): Cell[] {
    return this.keys.flatMap((key) => this.cells.get(key) ?? []);
  }

  /** Cells in view, each in the colours that are asked for now. */
  private drawn(): Cell[] {
    return this.keys.flatMap((key) => {
      const cell = this.cells.get(key);
      if (!cell) return [];
      const values = this.measurement ? this.values.get(this.valuesKey(key)) : null;
      const wanted = `${this.shown.version}:${values ? "values" : ""}`;
      if (cell.colouredFor !== wanted) {
        this.painter.colourLines(cell.lines, coloured(cell.objects, cell.rings, this.stroke(cell.objects, values ?? null)));
        cell.colouredFor = wanted;
      }
      return [cell];
    });
  }

  private stroke(objects: Objects, values: Float32Array | null): (index: number) => Stroke | null {
    const classes = this.layer.classes;
    const colours = classes.map((row) => classColour(this.layer, row.index, this.shown.look.safe));
    const { p02, p98 } = this.measurement ?? { p02: 0, p98: 1 };
    const [low, high] = [p02 ?? 0, p98 ?? 1];
    const share = (value: number) => (high > low ? (value - low) / (high - low) : 0.5);
    return (index) => {
      if (!this.isShown(objects, index)) return null;
      const row = objects.classIndex[index];
      const byClass = colours[row] ?? NO_VALUE;
      const value = values?.[index];
      const colour = value === undefined ? byClass : Number.isNaN(value) ? NO_VALUE : onScale(VALUE_SCALE, share(value));
      return { colour, dashed: classes[row]?.unsure ?? false };
    };
  }
}

/** The colour of a class: that of the result, or one that colour-blind people tell apart. */
export function classColour(layer: LayerFacts, index: number, isSafe: boolean): Rgb {
  if (!isSafe) return rgb(layer.classes[index].color);
  const names = [...new Set(layer.classes.map((row) => row.name.replace(/\bunsure\b/i, "").trim()))];
  return safe(names.indexOf(layer.classes[index].name.replace(/\bunsure\b/i, "").trim()) + 3 * layer.index);
}
