// Loader: what is in view is loaded, a few at a time; what is no longer wanted is given up; the rest is kept for a while.

interface Entry<V> {
  value?: V | null;
  used: number;
  stop?: AbortController;
}

export class Loader<V> {
  private readonly entries = new Map<string, Entry<V>>();
  private waiting: string[] = [];
  private running = 0;
  private turn = 0;

  /**
   * @param load gives the value of a key, or null if there is none
   * @param changed is called when a value has come
   * @param failed is called with what went wrong
   * @param kept how many values are kept, those in view aside
   * @param atATime how many are loaded at a time
   */
  constructor(
    private readonly load: (key: string, signal: AbortSignal) => Promise<V | null>,
    private readonly changed: () => void,
    private readonly failed: (error: unknown) => void,
    private readonly kept: number,
    private readonly atATime = 6,
    private readonly drop: (value: V) => void = () => undefined,
  ) {}

  /** Say which keys are in view, the most wanted first. */
  want(keys: string[]): void {
    this.turn += 1;
    const wanted = new Set(keys);
    for (const [key, entry] of this.entries) {
      if (wanted.has(key)) entry.used = this.turn;
      else if (entry.stop) {
        entry.stop.abort();
        this.entries.delete(key);
      }
    }
    this.waiting = keys.filter((key) => !this.entries.has(key));
    this.forget();
    this.go();
  }

  /** The value of a key; undefined while it has not come, null where there is none. */
  get(key: string): V | null | undefined {
    return this.entries.get(key)?.value;
  }

  /** Whether all these keys have come. */
  has(keys: string[]): boolean {
    return keys.every((key) => this.get(key) !== undefined);
  }

  /** Whether nothing is being loaded. */
  get atRest(): boolean {
    return this.running === 0 && this.waiting.length === 0;
  }

  private go(): void {
    while (this.running < this.atATime && this.waiting.length > 0) void this.one(this.waiting.shift()!);
  }

  private async one(key: string): Promise<void> {
    const entry: Entry<V> = { used: this.turn, stop: new AbortController() };
    this.entries.set(key, entry);
    this.running += 1;
    try {
      entry.value = await this.load(key, entry.stop!.signal);
      entry.stop = undefined;
      if (this.entries.get(key) !== entry && entry.value) this.drop(entry.value);
      this.changed();
    } catch (error) {
      if (this.entries.get(key) === entry) this.entries.delete(key);
      if ((error as Error).name !== "AbortError") this.failed(error);
    } finally {
      this.running -= 1;
      this.go();
    }
  }

  private forget(): void {
    if (this.entries.size <= this.kept) return;
    const old = [...this.entries].filter(([, entry]) => !entry.stop && entry.used < this.turn);
    old.sort((a, b) => a[1].used - b[1].used);
    for (const [key, entry] of old.slice(0, this.entries.size - this.kept)) {
      if (entry.value) this.drop(entry.value);
      this.entries.delete(key);
    }
  }
}
