// Colours: of classes as QuPath has them, of numbers on a scale that colour-blind people read, too.

export type Rgb = [number, number, number];

export function rgb(hex: string): Rgb {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as Rgb;
}

// Five colours of each scale; between them it is linear.
const SCALES = {
  viridis: ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"].map(rgb),
  cividis: ["#00224e", "#414d6b", "#7d7c78", "#bcae6c", "#fee838"].map(rgb),
};

export type ScaleName = keyof typeof SCALES;

/** The colour of a share between 0 and 1. */
export function onScale(name: ScaleName, share: number): Rgb {
  const colours = SCALES[name];
  const at = Math.min(Math.max(share, 0), 1) * (colours.length - 1);
  const low = Math.min(Math.floor(at), colours.length - 2);
  return [0, 1, 2].map((part) => Math.round(colours[low][part] + (at - low) * (colours[low + 1][part] - colours[low][part]))) as Rgb;
}

// Eight colours that colour-blind people tell apart (Okabe and Ito), without black, which is the colour of nuclei.
const SAFE = ["#d55e00", "#0072b2", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#f0e442", "#ffffff"].map(rgb);

/** The colour of the class with a number, for those who do not tell red from green. */
export function safe(index: number): Rgb {
  return SAFE[index % SAFE.length];
}

/** A scale from left to right, for a legend. */
export function gradient(name: ScaleName): string {
  return `linear-gradient(to right, ${SCALES[name].map(css).join(", ")})`;
}

export function css(colour: Rgb): string {
  return `rgb(${colour.join(" ")})`;
}
