// Outlines of a cell's objects in the form that the graphics card takes: closed rings, one colour a point.

import type { Rgb } from "./colours";
import type { Objects } from "./objects";

/** Alpha of what is drawn solid, and of what is dashed. */
const SOLID = 255;
const DASHED = 254;

/** Closed rings, one after another: the first point of each comes again at its end. */
export interface Rings {
  /** First point of each ring, and their number at the end. */
  start: Uint32Array;
  /** x, y and the way along the ring so far, of each point. */
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
  const points = new Float32Array(3 * start[rings]);
  for (let ring = 0; ring < rings; ring++) {
    const [from, to] = [objects.pointStart[ring], objects.pointStart[ring + 1]];
    close(objects.points.subarray(2 * from, 2 * to), points, 3 * start[ring]);
  }
  return { start, points };
}

/** Write a ring from a place on, closed, with the way along it. */
function close(ring: ArrayLike<number>, into: Float32Array, at: number): void {
  let way = 0;
  for (let point = 0; point <= ring.length / 2; point++) {
    const from = (2 * point) % ring.length;
    [into[at], into[at + 1]] = [ring[from], ring[from + 1]];
    if (point) way += Math.hypot(into[at] - into[at - 3], into[at + 1] - into[at - 2]);
    into[at + 2] = way;
    at += 3;
  }
}

/** The colours of all points; alpha is 0 where no line begins: at the end of a ring, and in an object that is not shown. */
export function coloured(objects: Objects, rings: Rings, stroke: (index: number) => Stroke | null): Uint8Array {
  const value = new Uint8Array((4 * rings.points.length) / 3);
  for (let index = 0; index < objects.rows.length; index++) {
    const found = stroke(index);
    if (!found) continue;
    const [red, green, blue] = found.colour;
    const alpha = found.dashed ? DASHED : SOLID;
    for (let ring = objects.ringStart[index]; ring < objects.ringStart[index + 1]; ring++) {
      for (let at = 4 * rings.start[ring]; at < 4 * (rings.start[ring + 1] - 1); at += 4) {
        value[at] = red;
        value[at + 1] = green;
        value[at + 2] = blue;
        value[at + 3] = alpha;
      }
    }
  }
  return value;
}

/** Rings given as flat lists, as black lines relative to the first point. */
export function asLines(rings: number[][]): { points: Float32Array; colours: Uint8Array; origin: [number, number] } {
  const drawn = rings.filter((ring) => ring.length >= 4);
  const origin: [number, number] = drawn.length ? [drawn[0][0], drawn[0][1]] : [0, 0];
  const count = drawn.reduce((sum, ring) => sum + ring.length / 2 + 1, 0);
  const [points, colours] = [new Float32Array(3 * count), new Uint8Array(4 * count)];
  let first = 0;
  for (const ring of drawn) {
    close(ring.map((value, at) => value - origin[at % 2]), points, 3 * first);
    for (let point = first; point < first + ring.length / 2; point++) colours[4 * point + 3] = SOLID;
    first += ring.length / 2 + 1;
  }
  return { points, colours, origin };
}
