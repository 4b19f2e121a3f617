// Census: the exact number of objects in the box that is in view, from the server, by layer, class and bin of probability.

import type { Box, LayerFacts } from "./facts";
import { json } from "./server";
import type { Shown } from "./shown";

const WAIT_MS = 60;

export class Census {
  private counts: Map<number, number[][]> | null = null;
  private countedBox: Box | null = null;
  private asked: { box: Box; stop: AbortController; timer: number } | null = null;

  constructor(
    private readonly layers: LayerFacts[],
    private readonly changed: () => void,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** Say which box is in view; it is counted as soon as it stays for a moment. */
  look(box: Box): void {
    if (same(box, this.asked?.box ?? this.countedBox)) return;
    if (this.asked) {
      clearTimeout(this.asked.timer);
      this.asked.stop.abort();
    }
    const stop = new AbortController();
    this.asked = { box, stop, timer: window.setTimeout(() => void this.ask(box, stop.signal), WAIT_MS) };
  }

  get atRest(): boolean {
    return !this.asked;
  }

  /** Try again what failed. */
  forget(): void {
    this.countedBox = null;
  }

  /** All objects of the layers shown, whatever their class; from the last box that was counted. */
  objects(shown: Shown): number | null {
    if (!this.counts) return null;
    let sum = 0;
    for (const layer of this.layers) {
      if (!shown.layer(layer.index)) continue;
      for (const bins of this.counts.get(layer.index)!) for (const count of bins) sum += count;
    }
    return sum;
  }

  /** Objects of a box that are shown, by class; null while they are not counted. */
  count(box: Box, layer: LayerFacts, shown: Shown): number[] | null {
    if (!this.counts || !same(box, this.countedBox)) return null;
    const first = layer.probability ? shown.firstBin(layer.bins) : 0;
    return this.counts.get(layer.index)!.map((bins, index) =>
      shown.class(layer.index, index) ? bins.slice(first).reduce((a, b) => a + b, 0) : 0,
    );
  }

  private async ask(box: Box, signal: AbortSignal): Promise<void> {
    const query = `x0=${box.x0}&y0=${box.y0}&x1=${box.x1}&y1=${box.y1}`;
    try {
      const found = await Promise.all(
        this.layers.map((layer) => json<{ counts: number[][] }>(`counts/${layer.index}?${query}`, signal)),
      );
      if (signal.aborted) return;
      this.counts = new Map(this.layers.map((layer, at) => [layer.index, found[at].counts]));
      this.countedBox = box;
      this.asked = null;
      this.changed();
    } catch (error) {
      if (signal.aborted) return;
      // Not asked again by itself: who moves asks anew.
      this.asked = null;
      this.countedBox = box;
      this.counts = null;
      this.failed(error);
    }
  }
}

function same(a: Box, b: Box | null): boolean {
  return !!b && a.x0 === b.x0 && a.y0 === b.y0 && a.x1 === b.x1 && a.y1 === b.y1;
}
