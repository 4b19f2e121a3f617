// Gestures: mouse, finger and wheel on the canvas. Drag moves, wheel and pinch zoom around what they point at, a click picks.

import type { Camera } from "./camera";
import type { Stage } from "./stage";

const WHEEL = 0.0025;
const PINCH_WHEEL = 0.012;
/** A press that moves no farther than this is a click. */
const STILL_PX = 5;

export class Gestures {
  /** What the pointer points at, in level-0 pixels. */
  pointer: [number, number] | null = null;
  private readonly down = new Map<number, [number, number]>();
  private readonly listeners: (() => void)[] = [];
  private moved = 0;

  constructor(
    private readonly stage: Stage,
    private readonly clicked: (x: number, y: number) => void,
  ) {
    const { canvas } = stage;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event, true));
    canvas.addEventListener("pointercancel", (event) => this.release(event, false));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("dblclick", (event) => this.zoom(event.offsetX, event.offsetY, event.shiftKey ? -1 : 1));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** Call when the pointer points at something else. */
  onPoint(listener: () => void): void {
    this.listeners.push(listener);
  }

  private press(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.stage.canvas.setPointerCapture(event.pointerId);
    this.stage.canvas.classList.add("held");
    if (!this.down.size) this.moved = 0;
    this.down.set(event.pointerId, [event.offsetX, event.offsetY]);
  }

  private move(event: PointerEvent): void {
    const now: [number, number] = [event.offsetX, event.offsetY];
    const before = this.down.get(event.pointerId);
    if (before) {
      this.moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
      const other = [...this.down].find(([id]) => id !== event.pointerId)?.[1];
      this.down.set(event.pointerId, now);
      if (other) this.pinch(before, now, other);
      else if (this.moved > STILL_PX) this.shift(before[0] - now[0], before[1] - now[1]);
    }
    this.point(this.stage.toSlide(...now));
  }

  private release(event: PointerEvent, whole: boolean): void {
    if (!this.down.delete(event.pointerId) || this.down.size) return;
    this.stage.canvas.classList.remove("held");
    if (whole && this.moved <= STILL_PX) this.clicked(event.offsetX, event.offsetY);
  }

  private shift(x: number, y: number): void {
    const { camera } = this.stage;
    const scale = 2 ** -camera.zoom;
    this.stage.go({ ...camera, x: camera.x + x * scale, y: camera.y + y * scale });
  }

  /** Two fingers: what is between them stays between them. */
  private pinch(before: [number, number], now: [number, number], other: [number, number]): void {
    const span = (a: [number, number]) => Math.max(1, Math.hypot(a[0] - other[0], a[1] - other[1]));
    this.shift((before[0] - now[0]) / 2, (before[1] - now[1]) / 2);
    this.zoom((now[0] + other[0]) / 2, (now[1] + other[1]) / 2, Math.log2(span(now) / span(before)));
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    this.zoom(event.offsetX, event.offsetY, -event.deltaY * lines * (event.ctrlKey ? PINCH_WHEEL : WHEEL));
    this.point(this.stage.toSlide(event.offsetX, event.offsetY));
  }

  private zoom(x: number, y: number, by: number): void {
    const { stage } = this;
    const [atX, atY] = stage.toSlide(x, y);
    const wanted: Camera = { ...stage.camera, zoom: stage.camera.zoom + by };
    const scale = 2 ** -stage.bounded(wanted).zoom;
    stage.go({ ...wanted, x: atX - (x - stage.width / 2) * scale, y: atY - (y - stage.height / 2) * scale });
  }

  private point(at: [number, number] | null): void {
    this.pointer = at;
    for (const listener of this.listeners) listener();
  }
}
