// The link: position and what is shown are in the address, so that it can be kept, sent, and gone back to.

import type { Camera } from "./camera";
import type { Details, Picked } from "./details";
import { FIRST, type Look, type Shown } from "./shown";
import type { Stage } from "./stage";

const WAIT_MS = 250;
/** What was looked at for so long is a step that the browser goes back to. */
const STAY_MS = 2000;
const FLAGS = ["slide", "outlines", "tissue", "roi", "unreadable"] as const;

export function written(camera: Camera, look: Look, picked: Picked | null): string {
  const parts = new URLSearchParams({ x: camera.x.toFixed(2), y: camera.y.toFixed(2), z: camera.zoom.toFixed(3) });
  if (look.threshold) parts.set("p", String(look.threshold));
  if (look.off.size) parts.set("off", [...look.off].sort().join(","));
  if (look.by) parts.set("by", look.by);
  if (look.safe) parts.set("safe", "1");
  if (look.heat !== FIRST.heat) parts.set("heat", String(look.heat));
  const hidden = FLAGS.filter((name) => !look[name]);
  if (hidden.length) parts.set("hide", hidden.join(","));
  if (look.heatNear) parts.set("heatnear", "1");
  if (look.map !== null) parts.set("map", String(look.map));
  if (picked) parts.set("o", `${picked.layer}.${picked.row}`);
  return `#${parts}`;
}

export function read(hash: string): { camera: Camera | null; look: Look; picked: Picked | null } {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const number = (name: string) => (parts.has(name) ? Number(parts.get(name)) : NaN);
  const [x, y, zoom] = ["x", "y", "z"].map(number);
  const hidden = (parts.get("hide") ?? "").split(",");
  const share = (name: string, otherwise: number) => {
    const value = number(name);
    return value >= 0 && value <= 1 ? value : otherwise;
  };
  const picked = /^(\d{1,3})\.(\d{1,10})$/.exec(parts.get("o") ?? "");
  const [slide, outlines, tissue, roi, unreadable] = FLAGS.map((name) => !hidden.includes(name));
  return {
    camera: [x, y, zoom].every(Number.isFinite) ? { x, y, zoom } : null,
    picked: picked && { layer: Number(picked[1]), row: Number(picked[2]) },
    look: {
      threshold: share("p", FIRST.threshold),
      off: new Set((parts.get("off") ?? "").split(",").filter((name) => /^\d+(\.\d+)?$/.test(name))),
      by: parts.get("by"),
      safe: parts.get("safe") === "1",
      heat: share("heat", FIRST.heat),
      heatNear: parts.get("heatnear") === "1",
      map: /^\d{1,3}$/.test(parts.get("map") ?? "") ? number("map") : null,
      slide,
      outlines,
      tissue,
      roi,
      unreadable,
    },
  };
}

/** Keep the address true, and follow it where the person goes back or forth. */
export function follow(stage: Stage, shown: Shown, details: Details): void {
  let timer = 0;
  let last = performance.now();
  const write = () => {
    const now = written(stage.camera, shown.look, details.picked);
    if (now === location.hash) return;
    if (performance.now() - last > STAY_MS) history.pushState(null, "", now);
    else history.replaceState(null, "", now);
    last = performance.now();
  };
  history.replaceState(null, "", written(stage.camera, shown.look, details.picked));
  stage.listen(() => {
    window.clearTimeout(timer);
    timer = window.setTimeout(write, WAIT_MS);
  });
  const apply = () => {
    const { camera, look, picked } = read(location.hash);
    last = performance.now();
    shown.change(look);
    details.select(picked);
    if (camera) stage.go(camera);
  };
  window.addEventListener("popstate", apply);
}
