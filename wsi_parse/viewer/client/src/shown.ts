// Shown: what the person wants to see, in one place; whoever draws it listens.

import type { ViewFacts } from "./facts";

export interface Look {
  /** Layers and classes that are off, as "layer" and "layer.class". */
  off: Set<string>;
  /** Objects with a class probability below this are not shown. */
  threshold: number;
  /** A measurement that gives outlines their colour; null: their class does. */
  by: string | null;
  /** Classes have colours that colour-blind people tell apart, in place of those of the result. */
  safe: boolean;
  slide: boolean;
  outlines: boolean;
  tissue: boolean;
  roi: boolean;
  unreadable: boolean;
  /** Opacity of the heat map, 0 to 1. */
  heat: number;
  /** Which probability map is drawn, in place of the heat map; null: none. */
  map: number | null;
  /** The heat map also lies under outlines. */
  heatNear: boolean;
}

/** What is shown before anybody asked for something else. */
export const FIRST: Look = {
  off: new Set(),
  threshold: 0,
  by: null,
  safe: false,
  slide: true,
  outlines: true,
  tissue: true,
  roi: true,
  unreadable: true,
  heat: 0.7,
  map: null,
  heatNear: false,
};

export class Shown {
  look: Look = FIRST;
  /** Grows with every change. */
  version = 0;
  private readonly listeners: (() => void)[] = [];

  constructor(readonly view: ViewFacts) {}

  listen(listener: () => void): void {
    this.listeners.push(listener);
  }

  change(part: Partial<Look>): void {
    this.look = { ...this.look, ...part };
    // A link may come from another run.
    if (this.look.map !== null && this.look.map >= this.view.maps.length) this.look.map = null;
    this.version += 1;
    for (const listener of this.listeners) listener();
  }

  toggle(name: string, on: boolean): void {
    this.toggleAll([name], on);
  }

  toggleAll(names: string[], on: boolean): void {
    const off = new Set(this.look.off);
    for (const name of names) {
      if (on) off.delete(name);
      else off.add(name);
    }
    this.change({ off });
  }

  layer(layer: number): boolean {
    return !this.look.off.has(`${layer}`);
  }

  class(layer: number, index: number): boolean {
    return this.layer(layer) && !this.look.off.has(`${layer}.${index}`);
  }

  /** Whether an object is shown; one without a class probability is, at every threshold. Probabilities are float32. */
  object(layer: number, index: number, probability: number): boolean {
    return this.class(layer, index) && !(probability < Math.fround(this.look.threshold));
  }

  /** The first bin of probability that is shown; exact where the threshold is a multiple of a bin. */
  firstBin(bins: number): number {
    return Math.min(bins - 1, Math.ceil(this.look.threshold * bins - 1e-9));
  }
}
