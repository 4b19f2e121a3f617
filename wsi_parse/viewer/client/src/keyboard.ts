// Keys: what each does, and the help that lists them.

import type { Details } from "./details";
import { byId, element } from "./dom";
import type { Steps } from "./places";
import type { Shown } from "./shown";
import type { Stage } from "./stage";

const STEP = 0.2;
const CLOSER = 0.5;

export function listen(stage: Stage, shown: Shown, steps: Steps, details: Details, theme: () => void): void {
  const help = byId<HTMLDialogElement>("help");
  const pan = (x: number, y: number) => () => {
    const [width, height] = [stage.width, stage.height].map((side) => side * 2 ** -stage.camera.zoom * STEP);
    stage.go({ ...stage.camera, x: stage.camera.x + x * width, y: stage.camera.y + y * height });
  };
  const zoom = (by: number) => () => stage.go({ ...stage.camera, zoom: stage.camera.zoom + by });
  const whole = () => stage.go(stage.whole());
  // From map to map, and then to none.
  const map = () => {
    const next = shown.look.map === null ? 0 : shown.look.map + 1;
    shown.change({ map: next < stage.view.maps.length ? next : null });
  };
  const flip = (name: "outlines" | "tissue" | "heatNear" | "slide") => () => shown.change({ [name]: !shown.look[name] });
  const keys: [name: string, does: string, actions: Record<string, () => void>][] = [
    ["arrow keys", "move", { ArrowLeft: pan(-1, 0), ArrowRight: pan(1, 0), ArrowUp: pan(0, -1), ArrowDown: pan(0, 1) }],
    ["+", "nearer", { "+": zoom(CLOSER), "=": zoom(CLOSER) }],
    ["-", "farther", { "-": zoom(-CLOSER), _: zoom(-CLOSER) }],
    ["0", "the whole slide", { "0": whole, Home: whole }],
    ["1", "pixel by pixel", { "1": () => stage.go({ ...stage.camera, zoom: 0 }) }],
    ["n", "next place", { n: () => steps.step(1) }],
    ["p", "previous place", { p: () => steps.step(-1) }],
    ["o", "outlines of objects on or off", { o: flip("outlines") }],
    ["h", "heat map under outlines on or off", { h: flip("heatNear") }],
    ["m", "the next probability map, where the run kept them", { m: map }],
    ["t", "outline of the tissue on or off", { t: flip("tissue") }],
    ["s", "slide on or off", { s: flip("slide") }],
    ["d", "dark or light", { d: theme }],
    ["Escape", "nothing is picked", { Escape: () => (details.clear(), steps.clear()) }],
    ["?", "this help", { "?": () => (help.open ? help.close() : help.showModal()) }],
  ];
  const actions = new Map(keys.flatMap(([, , given]) => Object.entries(given)));
  window.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || (help.open && event.key !== "?")) return;
    // Whoever has just chosen which places steps through them.
    const stepsOn = target.id === "kind" && ["n", "p"].includes(event.key);
    if (!stepsOn && target.closest("input:not([type=checkbox]), select, textarea, [role=separator]")) return;
    const action = actions.get(event.key);
    if (!action) return;
    event.preventDefault();
    action();
  });
  stage.canvas.addEventListener("keydown", (event) => {
    if (event.key === "Enter") details.pick(stage.width / 2, stage.height / 2);
  });
  const rows: [string, string][] = [
    ...keys.map(([name, does]): [string, string] => [name, does]),
    ["Enter", "on the slide: pick the object in the middle"],
    ["mouse, finger", "drag to move, wheel or pinch to zoom, click an outline for its measurements"],
  ];
  byId("keys").append(
    ...rows.map(([name, does]) => element("tr", {}, element("th", { scope: "row" }, element("kbd", {}, name)), element("td", {}, does))),
  );
  byId("show-help").addEventListener("click", () => help.showModal());
  byId("closer").addEventListener("click", zoom(CLOSER));
  byId("farther").addEventListener("click", zoom(-CLOSER));
  byId("whole").addEventListener("click", whole);
}
