// Start: the list of a cohort, or the page of a slide.

import { ClassList } from "./classes";
import { showCohort } from "./cohort";
import { Controls } from "./controls";
import { Details } from "./details";
import { byId, write } from "./dom";
import type { Areas, Places, ViewFacts } from "./facts";
import { Gestures } from "./gestures";
import { listen } from "./keyboard";
import { follow, read } from "./link";
import { failed, say } from "./message";
import { NoGraphics } from "./painter";
import { fillHead, startPanel } from "./panel";
import { Steps } from "./places";
import { ScaleBar } from "./scale_bar";
import { json } from "./server";
import { Shown } from "./shown";
import { Stage } from "./stage";
import { startTheme } from "./theme";

const NOTICED_MS = 300;

/** What a test, or a notebook around this page, may ask and say. */
interface Hook {
  state(): unknown;
  go(x: number, y: number, zoom: number): void;
}

declare global {
  interface Window {
    wsiParseViewer?: Hook;
  }
}

async function start(): Promise<void> {
  const theme = startTheme();
  byId("theme").addEventListener("click", theme);
  if (!/\/s\/\d+\/$/.test(location.pathname)) {
    await showCohort();
    return;
  }
  const view = await json<ViewFacts>("view.json");
  fillHead(view);
  byId("app").hidden = false;
  byId("loading").hidden = true;
  startPanel();
  const shown = new Shown(view);
  const linked = read(location.hash);
  shown.change(linked.look);
  let stage: Stage;
  try {
    stage = new Stage(byId<HTMLCanvasElement>("slide"), view, shown);
  } catch (error) {
    if (!(error instanceof NoGraphics)) throw error;
    const remedy = "Use a current Firefox, Chrome, Edge or Safari, and allow it to use the graphics card (hardware acceleration).";
    say("This browser cannot draw the slide: it has no WebGL 2.", remedy);
    return;
  }
  if (linked.camera) stage.go(linked.camera);
  stage.notice = (error) => failed(error, null);
  const details = new Details(stage, failed);
  const gestures = new Gestures(stage, (x, y) => details.pick(x, y));
  new ClassList(stage, shown);
  const controls = new Controls(stage, shown);
  new ScaleBar(stage, gestures);
  const steps = new Steps(stage, details);
  listen(stage, shown, steps, details, theme);
  stage.listen(() => {
    if (stage.failure) failed(stage.failure, () => stage.retry());
  });
  stage.canvas.addEventListener("webglcontextlost", () => {
    say("The graphics card dropped the picture.", "The link keeps where you are.", () => location.reload());
  });
  sayLoading(stage);
  details.select(linked.picked);
  follow(stage, shown, details);
  offer(stage, details);
  // The slide is seen before these come: on a large one they take seconds.
  void later<Areas>("areas.json", (areas) => {
    stage.setAreas(areas);
    controls.offer(areas);
  });
  void later<Places>("places.json", (places) => steps.offer(places));
}

async function later<T>(path: string, use: (found: T) => void): Promise<void> {
  try {
    use(await json<T>(path));
  } catch (error) {
    failed(error, () => void later(path, use));
  }
}

/** Say that something is still on its way, if it takes long enough to be noticed. */
function sayLoading(stage: Stage): void {
  let timer = 0;
  const check = () => {
    timer = 0;
    write(byId("busy"), stage.atRest ? "" : "Loading …");
    if (!stage.atRest) later();
  };
  const later = () => (timer ||= window.setTimeout(check, NOTICED_MS));
  stage.listen(later);
}

function offer(stage: Stage, details: Details): void {
  const { shown } = stage;
  window.wsiParseViewer = {
    state: () => {
      const counts = stage.counts();
      return {
        ...stage.camera,
        box: stage.box,
        near: stage.near,
        atRest: stage.atRest && counts !== null,
        counts,
        total: counts && counts.flat().reduce((a, b) => a + b, 0),
        threshold: stage.near ? shown.look.threshold : shown.firstBin(32) / 32,
        picked: details.picked,
        frameMs: stage.frameMs,
      };
    },
    go: (x, y, zoom) => stage.go({ x, y, zoom }),
  };
}

start().catch((error: unknown) => failed(error));
