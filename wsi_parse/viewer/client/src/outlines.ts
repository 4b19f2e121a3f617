// Outlines of a cell's objects in the form that the graphics card takes: closed rings, one colour a point.

import type { Rgb } from "./colours";
import type { Objects } from "./objects";

/** Closed rings, one after another: the first point of each comes again at its end. */
export interface Rings {
  /** First point of each ring, and their number at the end. */
  start: Uint32Array;
  points: Float32Array;
}

/** How an object is drawn; one that is unsure is dashed. */
export interface Stroke {
  colour: Rgb;
  dashed: boolean;
}

export function closed(objects: Objects): Rings {
  const rings = objects.pointStart.length - 1;
  const start = objects.pointStart.map((first, ring) => first + ring);
  const points = new Float32Array(2 * start[rings]);
  for (let ring = 0; ring < rings; ring++) {
    const [from, to] = [objects.pointStart[ring], objects.pointStart[ring + 1]];
    points.set(objects.points.subarray(2 * from, 2 * to), 2 * start[ring]);
    points.set(objects.points.subarray(2 * from, 2 * from + 2), 2 * (start[ring + 1] - 1));
  }
  return { start, points };
}

/** The colours of all points; alpha is 0 where no line begins: at the end of a ring, in a gap, in an object that is not shown. */
export function coloured(objects: Objects, rings: Rings, stroke: (index: number) => Stroke | null): Uint8Array {
  const value = new Uint8Array(2 * rings.points.length);
  for (let index = 0; index < objects.rows.length; index++) {
    const found = stroke(index);
    if (!found) continue;
    for (let ring = objects.ringStart[index]; ring < objects.ringStart[index + 1]; ring++) {
      const from = rings.start[ring];
      const to = rings.start[ring + 1] - 1;
      for (let point = from; point < to; point += found.dashed ? 2 : 1) value.set([...found.colour, 255], 4 * point);
    }
  }
  return value;
}

/** Rings given as flat lists, as lines relative to the first point. */
export function asLines(rings: number[][]): { points: Float32Array; colours: Uint8Array; origin: [number, number] } {
  const drawn = rings.filter((ring) => ring.length >= 4);
  const origin: [number, number] = drawn.length ? [drawn[0][0], drawn[0][1]] : [0, 0];
  const points: number[] = [];
  const alpha: number[] = [];
  for (const ring of drawn) {
    for (let at = 0; at < ring.length; at += 2) {
      points.push(ring[at] - origin[0], ring[at + 1] - origin[1]);
      alpha.push(0, 0, 0, 255);
    }
    points.push(ring[0] - origin[0], ring[1] - origin[1]);
    alpha.push(0, 0, 0, 0);
  }
  return { points: new Float32Array(points), colours: new Uint8Array(alpha), origin };
}
