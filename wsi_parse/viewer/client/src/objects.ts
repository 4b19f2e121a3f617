// The objects of a cell, as the server sends them: numbers one after another, which need no parsing.

import type { Box } from "./facts";

const MAGIC = 0x56505357;
const HEADER_BYTES = 40;

/** Objects whose coordinates are relative to an origin. */
export interface Objects {
  /** Origin, in level-0 pixels. */
  origin: [number, number];
  /** Row of each object in the result. */
  rows: Uint32Array;
  /** First ring of each object, and their number at the end. */
  ringStart: Uint32Array;
  /** First point of each ring, and their number at the end. */
  pointStart: Uint32Array;
  /** x, y of all points. */
  points: Float32Array;
  /** Class probability; NaN where there is none. */
  probability: Float32Array;
  /** x, y of each centroid. */
  centroid: Float32Array;
  /** Index of the class of each object. */
  classIndex: Uint8Array;
  /** 1 where a ring is a hole. */
  ringHole: Uint8Array;
}

/** Read what the server sent; the arrays are views of it. */
export function decoded(buffer: ArrayBuffer): Objects {
  const header = new DataView(buffer);
  if (header.getUint32(0, true) !== MAGIC || header.getUint32(4, true) !== 1) {
    throw new Error("The server and this page are of different versions. Reload the page.");
  }
  const [objects, rings, points] = [8, 12, 16].map((at) => header.getUint32(at, true));
  let at = HEADER_BYTES;
  const take = <T>(kind: new (buffer: ArrayBuffer, at: number, length: number) => T, length: number, size: number): T => {
    at = Math.ceil(at / size) * size;
    const view = new kind(buffer, at, length);
    at += length * size;
    return view;
  };
  return {
    origin: [header.getFloat64(24, true), header.getFloat64(32, true)],
    rows: take(Uint32Array, objects, 4),
    ringStart: take(Uint32Array, objects + 1, 4),
    pointStart: take(Uint32Array, rings + 1, 4),
    points: take(Float32Array, 2 * points, 4),
    probability: take(Float32Array, objects, 4),
    centroid: take(Float32Array, 2 * objects, 4),
    classIndex: take(Uint8Array, objects, 1),
    ringHole: take(Uint8Array, rings, 1),
  };
}

/** Whether the centroid of an object is in a box. */
export function isIn(objects: Objects, index: number, box: Box): boolean {
  const x = objects.origin[0] + objects.centroid[2 * index];
  const y = objects.origin[1] + objects.centroid[2 * index + 1];
  return box.x0 <= x && x < box.x1 && box.y0 <= y && y < box.y1;
}

/** Area of an object in level-0 pixels, holes taken off. */
function area(objects: Objects, index: number): number {
  let sum = 0;
  for (let ring = objects.ringStart[index]; ring < objects.ringStart[index + 1]; ring++) {
    const [from, to] = [objects.pointStart[ring], objects.pointStart[ring + 1]];
    let twice = 0;
    for (let point = from, last = to - 1; point < to; last = point++) {
      twice += objects.points[2 * last] * objects.points[2 * point + 1] - objects.points[2 * point] * objects.points[2 * last + 1];
    }
    sum += (objects.ringHole[ring] ? -1 : 1) * Math.abs(twice / 2);
  }
  return sum;
}

/** Whether a point is inside an object (even-odd over all of its rings, so a hole is outside). */
function covers(objects: Objects, index: number, x: number, y: number): boolean {
  let inside = false;
  const p = objects.points;
  for (let ring = objects.ringStart[index]; ring < objects.ringStart[index + 1]; ring++) {
    const [from, to] = [objects.pointStart[ring], objects.pointStart[ring + 1]];
    for (let a = from, b = to - 1; a < to; b = a++) {
      const [ax, ay, bx, by] = [p[2 * a], p[2 * a + 1], p[2 * b], p[2 * b + 1]];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
    }
  }
  return inside;
}

/** The smallest object at a point in level-0 pixels, among those that `shown` lets pass. */
export function objectAt(
  objects: Objects,
  x: number,
  y: number,
  shown: (index: number) => boolean,
): { index: number; area: number } | null {
  let best: { index: number; area: number } | null = null;
  const [left, top] = [x - objects.origin[0], y - objects.origin[1]];
  for (let index = 0; index < objects.rows.length; index++) {
    if (!shown(index) || !covers(objects, index, left, top)) continue;
    const size = area(objects, index);
    if (!best || size < best.area) best = { index, area: size };
  }
  return best;
}
