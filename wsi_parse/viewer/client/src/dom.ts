// Elements, made without HTML text: what comes from outside is only ever text.

type Child = Node | string | null | undefined | false;

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean | ((event: Event) => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false) made.setAttribute(name, value);
  }
  for (const child of children) if (child) made.append(child);
  return made;
}

export function byId<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

export function grouped(count: number): string {
  return whole.format(count);
}

/** A number with four digits that count. */
export function brief(value: number): string {
  return short.format(value);
}

/** Write a text only where it is another one: who reads the page aloud is not told twice. */
export function write(host: HTMLElement, text: string): void {
  if (host.textContent !== text) host.textContent = text;
}

/** Checkboxes that show what is on, whoever changed it. */
export class Switches {
  private readonly boxes: [HTMLInputElement, () => boolean][] = [];

  box(label: Child[], isOn: () => boolean, change: (on: boolean) => void): HTMLLabelElement {
    const box = element("input", { type: "checkbox", change: () => change(box.checked) });
    box.checked = isOn();
    this.boxes.push([box, isOn]);
    return element("label", { class: "check" }, box, ...label);
  }

  renew(): void {
    for (const [box, isOn] of this.boxes) box.checked = isOn();
  }
}

/** A small square with an outline of a colour, dashed as the outlines on the slide are. */
export function swatch(colour: string, dashed: boolean): HTMLElement {
  const made = element("span", { class: dashed ? "swatch dashed" : "swatch", "aria-hidden": "true" });
  made.style.borderColor = colour;
  return made;
}
