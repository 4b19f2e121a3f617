// Camera: where we look and how near, in level-0 pixels; the box and the cells and tiles that are in view.

import type { Box, ViewFacts } from "./facts";

export interface Camera {
  /** Level-0 pixels in the middle of the view. */
  x: number;
  y: number;
  /** Power of two of how many screen pixels a level-0 pixel has: 0 is 1:1, -3 shows an eighth. */
  zoom: number;
}

export const NEAREST = 5;

export function boxOf(camera: Camera, width: number, height: number): Box {
  const scale = 2 ** -camera.zoom;
  const [w, h] = [(width * scale) / 2, (height * scale) / 2];
  return { x0: camera.x - w, y0: camera.y - h, x1: camera.x + w, y1: camera.y + h };
}

/** The camera that shows a box with a little room around it. */
export function fitting(box: Box, width: number, height: number, room = 1.1): Camera {
  const zoom = -Math.log2(Math.max((box.x1 - box.x0) / width, (box.y1 - box.y0) / height) * room);
  return { x: (box.x0 + box.x1) / 2, y: (box.y0 + box.y1) / 2, zoom: Math.min(zoom, NEAREST) };
}

export function farthest(view: ViewFacts, width: number, height: number): number {
  return fitting({ x0: 0, y0: 0, x1: view.width, y1: view.height }, width, height).zoom - 2;
}

/** A camera whose middle lies on the slide, and which is neither nearer nor farther than makes sense. */
export function bounded(camera: Camera, view: ViewFacts, width: number, height: number): Camera {
  return {
    x: Math.min(Math.max(camera.x, 0), view.width),
    y: Math.min(Math.max(camera.y, 0), view.height),
    zoom: Math.min(Math.max(camera.zoom, farthest(view, width, height)), NEAREST),
  };
}

/** The squares of a given side that a box touches, as [column, row], the ones in the middle first. */
export function squares(box: Box, side: number, limit?: { width: number; height: number }): [number, number][] {
  const [left, top] = limit ? [Math.max(box.x0, 0), Math.max(box.y0, 0)] : [box.x0, box.y0];
  const [right, bottom] = limit ? [Math.min(box.x1, limit.width), Math.min(box.y1, limit.height)] : [box.x1, box.y1];
  if (right <= left || bottom <= top) return [];
  const found: [number, number][] = [];
  for (let row = Math.floor(top / side); row * side < bottom; row++) {
    for (let column = Math.floor(left / side); column * side < right; column++) found.push([column, row]);
  }
  const [x, y] = [(left + right) / 2 / side - 0.5, (top + bottom) / 2 / side - 0.5];
  const away = ([column, row]: [number, number]) => (column - x) ** 2 + (row - y) ** 2;
  return found.sort((a, b) => away(a) - away(b));
}

/** How many such squares a box touches. */
export function squareCount(box: Box, side: number): number {
  const count = (low: number, high: number) => Math.ceil(high / side) - Math.floor(low / side);
  return count(box.x0, box.x1) * count(box.y0, box.y1);
}

/** The power of two by which a slide is reduced so that a pixel of it is at least as fine as one of the screen. */
export function reduction(zoom: number, most: number): number {
  return Math.min(Math.max(Math.floor(-zoom), 0), most);
}
