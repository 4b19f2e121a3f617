// Stage: the canvas. It decides between near (exact outlines) and far (exact density), draws, and counts what is in view.

import { bounded, boxOf, fitting, squareCount, type Camera } from "./camera";
import { CELLS_AT_MOST, LayerCells, type Found } from "./cells";
import { Census } from "./census";
import type { Areas, Box, ViewFacts } from "./facts";
import { Heat } from "./heat";
import { ProbabilityMaps } from "./maps";
import { asLines } from "./outlines";
import { CONTRAST, Painter, type Lines } from "./painter";
import { ServerError, pendingRequests } from "./server";
import type { Shown } from "./shown";
import { SlideTiles } from "./slide_tiles";

/** Most objects in view that are drawn as outlines: more are too small to be told apart, and take seconds without a graphics card. */
export const OBJECTS_AT_MOST = 20_000;
/** Up to so many pieces of outlines have a rim; more are drawn once, and still more as thin as can be. */
const PIECES_WITH_RIM = 40_000;
const PIECES_WITH_WIDTH = 120_000;
/** What comes from the server is drawn together with what comes within this time; it is longer where frames come late. */
const TOGETHER_MS = [80, 1000];
/** How areas are outlined. */
const AREAS: Record<keyof Areas, { colour: [number, number, number]; width: number }> = {
  tissue: { colour: [0, 90, 110], width: 1.5 },
  unreadable: { colour: [120, 0, 140], width: 2 },
  roi: { colour: [20, 20, 20], width: 2.5 },
};
const WHITE: [number, number, number] = [255, 255, 255];
const PICKED: [number, number, number] = [0, 0, 0];

export class Stage {
  camera: Camera;
  /** Whether outlines are drawn; else density is, as soon as it is known how many objects there are. */
  near = false;
  /** Is told what fails without which the rest goes on. */
  notice: (error: unknown) => void = () => undefined;
  /** What went wrong last, until it is tried again. */
  failure: ServerError | null = null;
  readonly heat: Heat;
  readonly maps: ProbabilityMaps;
  private readonly painter: Painter;
  private readonly tiles: SlideTiles;
  private readonly cells: LayerCells[];
  private readonly census: Census;
  private readonly listeners: (() => void)[] = [];
  private areas: [keyof Areas, Lines][] = [];
  private picked: { layer: number; row: number; lines: Lines | null } | null = null;
  private mark: Lines | null = null;
  private decided = false;
  private frame = 0;
  private soon = 0;
  private drawing = 0;
  private asked = 0;
  /** Milliseconds from asking for the last frame to its beginning. */
  private late = 0;

  /**
   * @throws NoGraphics if the browser has no WebGL 2
   */
  constructor(
    readonly canvas: HTMLCanvasElement,
    readonly view: ViewFacts,
    readonly shown: Shown,
  ) {
    this.painter = new Painter(canvas);
    const changed = () => this.draw();
    const came = () => this.drawSoon();
    const failed = (error: unknown) => this.fail(error);
    this.tiles = new SlideTiles(view, this.painter, came, failed);
    this.heat = new Heat(view, shown, this.painter, came, failed);
    this.maps = new ProbabilityMaps(view, this.painter, came, (error) => this.withoutMap(error));
    this.cells = view.layers.map((layer) => new LayerCells(layer, shown, this.painter, came, failed));
    this.census = new Census(view.layers, changed, failed);
    this.camera = this.whole();
    shown.listen(changed);
    new ResizeObserver(changed).observe(canvas);
  }

  listen(listener: () => void): void {
    this.listeners.push(listener);
  }

  get width(): number {
    return Math.max(1, this.canvas.clientWidth);
  }

  get height(): number {
    return Math.max(1, this.canvas.clientHeight);
  }

  get box(): Box {
    return boxOf(this.camera, this.width, this.height);
  }

  /** The camera that shows the whole slide. */
  whole(): Camera {
    return fitting({ x0: 0, y0: 0, x1: this.view.width, y1: this.view.height }, this.width, this.height);
  }

  /** A camera as `go` takes it. */
  bounded(camera: Camera): Camera {
    return bounded(camera, this.view, this.width, this.height);
  }

  go(camera: Camera): void {
    this.camera = this.bounded(camera);
    this.draw();
  }

  goToBox(box: Box, room: number): void {
    this.go(fitting(box, this.width, this.height, room));
  }

  /** Level-0 pixels of a point of the canvas. */
  toSlide(x: number, y: number): [number, number] {
    const scale = 2 ** -this.camera.zoom;
    return [this.camera.x + (x - this.width / 2) * scale, this.camera.y + (y - this.height / 2) * scale];
  }

  /** Draw at the next frame, however often this is called. */
  draw(): void {
    if (this.frame) return;
    this.asked = performance.now();
    this.frame = requestAnimationFrame(() => this.now());
  }

  private drawSoon(): void {
    const [least, most] = TOGETHER_MS;
    this.soon ||= window.setTimeout(() => {
      this.soon = 0;
      this.draw();
    }, Math.min(Math.max(2 * this.late, least), most));
  }

  setAreas(areas: Areas): void {
    const names = Object.keys(AREAS) as (keyof Areas)[];
    this.areas = names.filter((name) => areas[name].length).map((name) => [name, this.linesOf(areas[name])]);
    this.draw();
  }

  /** Draw a frame around a place, or none. */
  setMark(box: Box | null): void {
    if (this.mark) this.painter.forgetLines(this.mark);
    this.mark = box && this.linesOf([[box.x0, box.y0, box.x1, box.y0, box.x1, box.y1, box.x0, box.y1]]);
    this.draw();
  }

  /** Outline an object strongly, as soon as it is among what has come. */
  pick(found: { layer: number; row: number } | null): void {
    if (this.picked?.lines) this.painter.forgetLines(this.picked.lines);
    this.picked = found && { layer: found.layer, row: found.row, lines: null };
    this.draw();
  }

  /** The smallest object at a point of the canvas, or close to it. */
  objectAt(x: number, y: number): Found | null {
    for (const away of [0, 3, 6]) {
      for (let turn = 0; turn < (away ? 8 : 1); turn++) {
        const [px, py] = [x + away * Math.cos((turn * Math.PI) / 4), y + away * Math.sin((turn * Math.PI) / 4)];
        const at = this.toSlide(px, py);
        const found = (this.near ? this.cells : []).flatMap((layer) => layer.at(...at) ?? []).sort((a, b) => a.area - b.area);
        if (found.length) return found[0];
      }
    }
    return null;
  }

  /** Objects in view that are shown, by layer and class; null while this is not known. */
  counts(): number[][] | null {
    const box = this.box;
    const counts = this.view.layers.map((layer, at) => {
      if (!this.shown.layer(layer.index)) return layer.classes.map(() => 0);
      if (!this.near) return this.census.count(box, layer, this.shown);
      return this.cells[at].complete ? this.cells[at].count(box) : null;
    });
    return counts.some((one) => one === null) ? null : (counts as number[][]);
  }

  /** Whether nothing is on its way and everything that has come is drawn. */
  get atRest(): boolean {
    return !this.frame && !this.soon && !pendingRequests && this.census.atRest && this.loaders.every((loader) => loader.atRest);
  }

  /** Milliseconds that the last frame took this page; the graphics card may take longer. */
  get frameMs(): number {
    return this.drawing;
  }

  /** Try again what failed. */
  retry(): void {
    this.failure = null;
    this.census.forget();
    this.draw();
  }

  private get loaders(): { atRest: boolean }[] {
    return [this.tiles.loader, this.heat.loader, this.maps.loader, ...this.cells.flatMap((layer) => [layer.cells, layer.values])];
  }

  private withoutMap(error: unknown): void {
    this.shown.change({ map: null });
    this.notice(error);
  }

  private fail(error: unknown): void {
    this.failure = error instanceof ServerError ? error : new ServerError(String((error as Error).message ?? error), "");
    for (const listener of this.listeners) listener();
  }

  private now(): void {
    this.frame = 0;
    const began = performance.now();
    this.late = began - this.asked;
    const box = this.box;
    if (!this.failure) this.look(box);
    this.painter.begin(this.camera, this.width, this.height);
    if (this.shown.look.slide) this.tiles.draw(this.camera, box);
    if (this.heatShown) this.heat.draw(this.camera, box);
    this.maps.draw(this.shown.look.map, this.camera, box, this.shown.look.heat);
    this.drawAreas();
    this.drawObjects();
    if (this.mark) this.framed(this.mark, PICKED, 2);
    this.drawing = performance.now() - began;
    for (const listener of this.listeners) listener();
  }

  private look(box: Box): void {
    this.census.look(box);
    const objects = this.census.objects(this.shown);
    const cells = Math.max(0, ...this.view.layers.map((layer) => squareCount(box, layer.cell_px)));
    this.near = cells <= CELLS_AT_MOST && (objects === null ? this.near : objects <= OBJECTS_AT_MOST);
    this.decided ||= cells > CELLS_AT_MOST || objects !== null;
    this.tiles.look(this.camera, box);
    for (const layer of this.cells) layer.look(this.near ? box : null);
    if (this.heatShown) this.heat.look(this.camera, box);
    else this.heat.rest();
    this.maps.look(this.shown.look.map, this.camera, box);
  }

  private get heatShown(): boolean {
    const { map, heat, heatNear } = this.shown.look;
    // A map takes the place of the heat map, as far as it is drawn.
    const covered = map !== null && !this.maps.isFar(map, this.camera, this.box);
    return this.decided && !covered && (!this.near || heatNear) && heat > 0;
  }

  private drawAreas(): void {
    for (const [name, lines] of this.areas) {
      if (this.shown.look[name]) this.framed(lines, AREAS[name].colour, AREAS[name].width);
    }
  }

  private drawObjects(): void {
    if (this.shown.look.outlines) this.drawOutlines();
    this.drawPicked();
  }

  private drawOutlines(): void {
    const pieces = this.cells.reduce((sum, layer) => sum + layer.pieces, 0);
    const width = pieces > PIECES_WITH_WIDTH ? 0 : this.camera.zoom < -2 ? 1.2 : this.camera.zoom < 0 ? 1.6 : 2;
    for (const layer of this.cells) layer.draw(width, pieces < PIECES_WITH_RIM ? CONTRAST : null);
  }

  /** What is picked is drawn also where outlines are off. */
  private drawPicked(): void {
    if (!this.picked) return;
    if (!this.picked.lines) {
      const found = this.cells.find((one) => one.layer.index === this.picked!.layer)?.ofRow(this.picked.row);
      if (found) this.picked.lines = this.outline(found);
    }
    if (this.picked.lines) this.framed(this.picked.lines, PICKED, 2.5);
  }

  private framed(lines: Lines, colour: [number, number, number], width: number): void {
    this.painter.drawLines(lines, width + 2.5, WHITE, 0.75);
    this.painter.drawLines(lines, width, colour, 1);
  }

  private outline({ objects, index }: Found): Lines {
    const rings: number[][] = [];
    for (let ring = objects.ringStart[index]; ring < objects.ringStart[index + 1]; ring++) {
      const points = objects.points.subarray(2 * objects.pointStart[ring], 2 * objects.pointStart[ring + 1]);
      rings.push(Array.from(points, (value, at) => value + objects.origin[at % 2]));
    }
    return this.linesOf(rings);
  }

  private linesOf(rings: number[][]): Lines {
    const { points, colours, origin } = asLines(rings);
    const lines = this.painter.createLines(points, origin);
    this.painter.colourLines(lines, colours);
    return lines;
  }
}
