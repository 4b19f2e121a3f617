// What the server says about a slide (view.json, cohort.json, places.json, areas.json) and about one object.

/** A row of the class table: a prompt and a class of QuPath, sure or unsure. */
export interface ClassRow {
  index: number;
  name: string;
  prompt: string;
  unsure: boolean;
  color: string;
  kind: string;
  objects: number;
}

export interface Measurement {
  name: string;
  min: number | null;
  max: number | null;
  p02: number | null;
  p98: number | null;
}

/** The result of the run, or a file that is shown beside it. */
export interface LayerFacts {
  index: number;
  name: string;
  objects: number;
  cell_px: number;
  large: number;
  bins: number;
  classes: ClassRow[];
  probability: string | null;
  measurements: Measurement[];
}

export interface Caution {
  code: string;
  sentence: string;
  remedy: string;
}

/** The probability map of a prompt, on a lattice of its own. */
export interface MapFacts {
  prompt: string;
  /** What is probable: "target", or "cell times class". */
  meaning: string;
  /** Size in pixels of the map. */
  width: number;
  height: number;
  /** Level-0 pixels of a pixel of the map, in x and in y. */
  scale: [number, number];
  /** The largest reduction by powers of two. */
  max_z: number;
}

export interface ViewFacts {
  name: string;
  width: number;
  height: number;
  mpp: [number, number] | null;
  max_z: number;
  tile_px: number;
  offset_level0_px: [number, number];
  research_use: string;
  model: string | null;
  prompts: string[];
  cohort: boolean;
  cautions: Caution[];
  layers: LayerFacts[];
  maps: MapFacts[];
}

/** A box in level-0 pixels: a point is in it where x0 <= x < x1 and y0 <= y < y1. */
export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** An object of the run worth a look. */
export interface Doubtful {
  row: number;
  x: number;
  y: number;
  class_index: number;
  text: string;
}

export interface Field extends Box {
  kind: string;
  text: string;
}

export interface Places {
  objects: Doubtful[];
  fields: Field[];
}

/** Rings of level-0 pixels, each flat: x, y, x, y, … */
export interface Areas {
  tissue: number[][];
  /** The region of interest. */
  roi: number[][];
  /** What could not be read of the slide. */
  unreadable: number[][];
}

export interface ObjectFacts {
  id: string;
  class_index: number;
  class_name: string;
  prompt: string;
  kind: string;
  unsure: boolean;
  centroid: [number, number];
  measurements: Record<string, number>;
}

export interface CohortSlide {
  n: number;
  name: string;
  state: string;
  objects: number | null;
  /** Their codes. */
  cautions: string[];
}
