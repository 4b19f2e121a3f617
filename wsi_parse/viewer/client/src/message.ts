// Messages: what failed and what helps.

import { byId, element } from "./dom";
import { ServerError } from "./server";

export function say(text: string, remedy = "", again?: () => void): void {
  const host = byId("message");
  const close = () => (host.hidden = true);
  const act = () => {
    close();
    again?.();
  };
  byId("loading").hidden = true;
  const button = element("button", { type: "button", click: again ? act : close }, again ? "Try again" : "Close");
  host.replaceChildren(element("strong", {}, text), ` ${remedy} `, button);
  host.hidden = false;
}

/** Say what failed, and offer to try it again: from the beginning if nothing else is known, null: not at all. */
export function failed(error: unknown, again: (() => void) | null = () => location.reload()): void {
  if (error instanceof ServerError) say(error.message, error.remedy, again ?? undefined);
  else say("The page failed.", String((error as Error)?.message ?? error), again ?? undefined);
}
