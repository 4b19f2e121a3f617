// Painter: pictures in boxes and lines of one width, on the graphics card (WebGL 2).

import type { Camera } from "./camera";
import type { Rgb } from "./colours";
import type { Box } from "./facts";

/** Points in a row of a texture. */
const ROW_BITS = 11;
const ROW = 1 << ROW_BITS;
const DASH_PX = 8;
/** Farther away an outline is as long as a few dashes, and would be lost: all are solid there. */
const DASHED_FROM_ZOOM = -1.5;
const ENDLESS = 1e9;

const PICTURE = {
  vertex: `#version 300 es
    uniform vec4 place;
    uniform vec4 part;
    uniform vec2 size;
    out vec2 at;
    void main() {
      vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
      at = mix(part.xy, part.zw, corner);
      vec2 p = mix(place.xy, place.zw, corner) / size * 2.0 - 1.0;
      gl_Position = vec4(p.x, -p.y, 0.0, 1.0);
    }`,
  fragment: `#version 300 es
    precision mediump float;
    uniform sampler2D picture;
    uniform float opacity;
    in vec2 at;
    out vec4 colour;
    void main() {
      vec4 found = texture(picture, at);
      colour = vec4(found.rgb * found.a, found.a) * opacity;
    }`,
};

// Points and their colours are fetched from textures, two triangles a piece, each a little longer than the piece, so that the next one
// joins it; where there are very many pieces, a line of one pixel each. Instances would be shorter to write, but without a graphics
// card each one is drawn by itself, which takes seconds.
const LINES = {
  vertex: `#version 300 es
    precision highp float;
    uniform highp sampler2D points;
    uniform highp sampler2D inks;
    uniform bool thin;
    uniform vec2 shift;
    uniform float scale;
    uniform vec2 size;
    uniform float width;
    uniform vec4 one;
    out vec4 shade;
    out float across;
    out float way;
    vec4 at(highp sampler2D source, int index) {
      return texelFetch(source, ivec2(index & ${ROW - 1}, index >> ${ROW_BITS}), 0);
    }
    void main() {
      int piece = thin ? gl_VertexID >> 1 : gl_VertexID / 6;
      int part = thin ? gl_VertexID & 1 : gl_VertexID % 6;
      int corner = thin ? part * 2 : part < 3 ? part : part == 3 ? 2 : part == 4 ? 1 : 3;
      vec4 ink = at(inks, piece);
      if (ink.a == 0.0) {
        gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
        return;
      }
      vec3 first = at(points, piece).xyz;
      vec3 last = at(points, piece + 1).xyz;
      vec2 a = first.xy * scale + shift;
      vec2 b = last.xy * scale + shift;
      float length = distance(a, b);
      vec2 along = length > 0.0 ? (b - a) / length : vec2(1.0, 0.0);
      bool end = corner > 1;
      float side = (corner & 1) == 0 ? -1.0 : 1.0;
      across = thin ? 0.0 : side * (width * 0.5 + 0.5);
      vec2 p = (end ? b : a) + along * (thin ? 0.0 : end ? 0.3 : -0.3) * width + vec2(-along.y, along.x) * across;
      p = p / size * 2.0 - 1.0;
      gl_Position = vec4(p.x, -p.y, 0.0, 1.0);
      // Only what has less than full alpha is dashed.
      way = ink.a < 1.0 ? (end ? last.z : first.z) * scale : -1.0;
      float light = dot(ink.rgb, vec3(0.3, 0.6, 0.1));
      shade = one.a == 0.0 ? ink : one.r < 0.0 ? vec4(vec3(light > 0.6 ? 0.1 : 1.0), one.a) : one;
    }`,
  fragment: `#version 300 es
    precision highp float;
    uniform float width;
    uniform float dash;
    in vec4 shade;
    in float across;
    in float way;
    out vec4 colour;
    void main() {
      if (way >= 0.0 && mod(way, dash) > 0.6 * dash) discard;
      float alpha = shade.a * clamp(width * 0.5 + 0.5 - abs(across), 0.0, 1.0);
      colour = vec4(shade.rgb * alpha, alpha);
    }`,
};

/** A picture on the graphics card. */
export interface Picture {
  texture: WebGLTexture;
  width: number;
  height: number;
}

/** Lines on the graphics card; coordinates are relative to the origin, so that they stay exact far from (0, 0). */
export interface Lines {
  points: WebGLTexture;
  inks: WebGLTexture;
  rows: number;
  pieces: number;
  origin: [number, number];
}

/** Not one colour, but white beside dark lines and nearly black beside light ones. */
export const CONTRAST: Rgb = [-1, -1, -1];

export class NoGraphics extends Error {}

export class Painter {
  private readonly gl: WebGL2RenderingContext;
  private readonly pictures: Program;
  private readonly lines: Program;
  private camera: Camera = { x: 0, y: 0, zoom: 0 };
  private ratio = 1;

  /**
   * @throws NoGraphics if the browser has no WebGL 2
   */
  constructor(private readonly canvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { alpha: true, antialias: false, powerPreference: "high-performance" });
    if (!gl) throw new NoGraphics("no WebGL 2");
    this.gl = gl;
    this.pictures = new Program(gl, PICTURE, ["place", "part", "size", "opacity"]);
    this.lines = new Program(gl, LINES, ["points", "inks", "thin", "shift", "scale", "size", "width", "dash", "one"]);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** Begin a picture of what the camera sees; the size is that of the canvas on the page. */
  begin(camera: Camera, width: number, height: number): void {
    this.camera = camera;
    this.ratio = window.devicePixelRatio || 1;
    const size = [Math.max(1, Math.round(width * this.ratio)), Math.max(1, Math.round(height * this.ratio))];
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) [this.canvas.width, this.canvas.height] = size;
    this.gl.viewport(0, 0, size[0], size[1]);
    this.gl.clearColor(0, 0, 0, 0);
    this.gl.clear(this.gl.COLOR_BUFFER_BIT);
  }

  picture(source: ImageBitmap | ImageData, smooth: boolean): Picture {
    const gl = this.gl;
    const texture = this.texture(smooth);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, source);
    return { texture, width: source.width, height: source.height };
  }

  forgetPicture(picture: Picture): void {
    this.gl.deleteTexture(picture.texture);
  }

  /** Draw a part of a picture (0 to 1 from its upper left corner) into a box. */
  drawPicture(picture: Picture, box: Box, opacity = 1, part = [0, 0, 1, 1]): void {
    const gl = this.gl;
    const [left, top] = this.onScreen(box.x0, box.y0);
    const [right, bottom] = this.onScreen(box.x1, box.y1);
    gl.useProgram(this.pictures.program);
    gl.activeTexture(gl.TEXTURE0);
    gl.uniform4f(this.pictures.at("place"), left, top, right, bottom);
    gl.uniform4f(this.pictures.at("part"), part[0], part[1], part[2], part[3]);
    gl.uniform2f(this.pictures.at("size"), this.canvas.width, this.canvas.height);
    gl.uniform1f(this.pictures.at("opacity"), opacity);
    gl.bindTexture(gl.TEXTURE_2D, picture.texture);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  /** Lines from each point (x, y, the way so far) to the next one; what begins at a point whose colour has alpha 0 is not drawn. */
  createLines(points: Float32Array, origin: [number, number]): Lines {
    const gl = this.gl;
    const rows = Math.max(1, Math.ceil(points.length / 3 / ROW));
    const filled = new Float32Array(3 * ROW * rows);
    filled.set(points);
    const made = { points: this.texture(false), inks: this.texture(false), rows, pieces: Math.max(0, points.length / 3 - 1), origin };
    gl.bindTexture(gl.TEXTURE_2D, made.points);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB32F, ROW, rows, 0, gl.RGB, gl.FLOAT, filled);
    return made;
  }

  /** Give lines their colours: red, green, blue and alpha of each point. */
  colourLines(lines: Lines, colours: Uint8Array): void {
    const gl = this.gl;
    const filled = new Uint8Array(4 * ROW * lines.rows);
    filled.set(colours);
    gl.bindTexture(gl.TEXTURE_2D, lines.inks);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, ROW, lines.rows, 0, gl.RGBA, gl.UNSIGNED_BYTE, filled);
  }

  forgetLines(lines: Lines): void {
    this.gl.deleteTexture(lines.points);
    this.gl.deleteTexture(lines.inks);
  }

  /**
   * Draw lines in their colours, or all in one colour (then with its opacity).
   *
   * @param width in pixels of the page; 0 for the thinnest line there is, which is fast
   */
  drawLines(lines: Lines, width: number, colour: Rgb = [0, 0, 0], opacity = 0): void {
    if (!lines.pieces) return;
    const gl = this.gl;
    const [x, y] = this.onScreen(lines.origin[0], lines.origin[1]);
    gl.useProgram(this.lines.program);
    [lines.points, lines.inks].forEach((texture, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
    gl.activeTexture(gl.TEXTURE0);
    gl.uniform1i(this.lines.at("points"), 0);
    gl.uniform1i(this.lines.at("inks"), 1);
    gl.uniform1i(this.lines.at("thin"), width ? 0 : 1);
    gl.uniform2f(this.lines.at("shift"), x, y);
    gl.uniform1f(this.lines.at("scale"), this.scale);
    gl.uniform2f(this.lines.at("size"), this.canvas.width, this.canvas.height);
    gl.uniform1f(this.lines.at("dash"), this.camera.zoom < DASHED_FROM_ZOOM ? ENDLESS : DASH_PX * this.ratio);
    gl.uniform1f(this.lines.at("width"), width ? width * this.ratio : 1);
    gl.uniform4f(this.lines.at("one"), colour[0] / 255, colour[1] / 255, colour[2] / 255, opacity);
    if (width) gl.drawArrays(gl.TRIANGLES, 0, 6 * lines.pieces);
    else gl.drawArrays(gl.LINES, 0, 2 * lines.pieces);
  }

  /** Pixels of the graphics card that a level-0 pixel has. */
  private get scale(): number {
    return 2 ** this.camera.zoom * this.ratio;
  }

  private onScreen(x: number, y: number): [number, number] {
    const [width, height] = [this.canvas.width, this.canvas.height];
    return [(x - this.camera.x) * this.scale + width / 2, (y - this.camera.y) * this.scale + height / 2];
  }

  private texture(smooth: boolean): WebGLTexture {
    const gl = this.gl;
    const made = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, made);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
    const filter = smooth ? gl.LINEAR : gl.NEAREST;
    for (const way of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, way, filter);
    return made;
  }
}

class Program {
  readonly program: WebGLProgram;
  private readonly places = new Map<string, WebGLUniformLocation | null>();

  constructor(gl: WebGL2RenderingContext, source: { vertex: string; fragment: string }, names: string[]) {
    this.program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, source.vertex], [gl.FRAGMENT_SHADER, source.fragment]] as const) {
      const shader = gl.createShader(kind);
      if (!shader) throw new Error("The graphics card takes no programs.");
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS)) {
      throw new Error(`The graphics card refuses a program: ${gl.getProgramInfoLog(this.program)}`);
    }
    for (const name of names) this.places.set(name, gl.getUniformLocation(this.program, name));
  }

  at(name: string): WebGLUniformLocation | null {
    return this.places.get(name) ?? null;
  }
}
