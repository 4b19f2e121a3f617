// Painter: pictures in boxes and lines of one width, on the graphics card (WebGL 2).

import type { Camera } from "./camera";
import type { Rgb } from "./colours";
import type { Box } from "./facts";

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

// Each piece of a line is a rectangle, a little longer than the piece, so that the next one joins it.
const LINES = {
  vertex: `#version 300 es
    in vec2 from;
    in vec2 to;
    in vec4 ink;
    uniform vec2 shift;
    uniform float scale;
    uniform vec2 size;
    uniform float width;
    uniform vec4 halo;
    out vec4 shade;
    out float across;
    void main() {
      if (ink.a == 0.0) {
        gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
        return;
      }
      vec2 a = from * scale + shift;
      vec2 b = to * scale + shift;
      float length = distance(a, b);
      vec2 along = length > 0.0 ? (b - a) / length : vec2(1.0, 0.0);
      bool end = gl_VertexID > 1;
      float side = (gl_VertexID & 1) == 0 ? -1.0 : 1.0;
      across = side * (width * 0.5 + 0.5);
      vec2 p = (end ? b : a) + along * (end ? 0.3 : -0.3) * width + vec2(-along.y, along.x) * across;
      p = p / size * 2.0 - 1.0;
      gl_Position = vec4(p.x, -p.y, 0.0, 1.0);
      shade = halo.a > 0.0 ? halo : ink;
    }`,
  fragment: `#version 300 es
    precision highp float;
    uniform float width;
    in vec4 shade;
    in float across;
    out vec4 colour;
    void main() {
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
  array: WebGLVertexArrayObject;
  points: WebGLBuffer;
  colours: WebGLBuffer;
  pieces: number;
  origin: [number, number];
}

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
    this.lines = new Program(gl, LINES, ["shift", "scale", "size", "width", "halo"]);
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
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, source);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
    const filter = smooth ? gl.LINEAR : gl.NEAREST;
    for (const way of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, way, filter);
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
    gl.bindVertexArray(null);
    gl.uniform4f(this.pictures.at("place"), left, top, right, bottom);
    gl.uniform4f(this.pictures.at("part"), part[0], part[1], part[2], part[3]);
    gl.uniform2f(this.pictures.at("size"), this.canvas.width, this.canvas.height);
    gl.uniform1f(this.pictures.at("opacity"), opacity);
    gl.bindTexture(gl.TEXTURE_2D, picture.texture);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  /** Lines from each point to the next one; what begins at a point whose colour has alpha 0 is not drawn. */
  createLines(points: Float32Array, origin: [number, number]): Lines {
    const gl = this.gl;
    const made = {
      array: gl.createVertexArray(),
      points: gl.createBuffer(),
      colours: gl.createBuffer(),
      pieces: Math.max(0, points.length / 2 - 1),
      origin,
    };
    gl.bindVertexArray(made.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, made.points);
    gl.bufferData(gl.ARRAY_BUFFER, points, gl.STATIC_DRAW);
    this.attribute("from", 2, gl.FLOAT, 0);
    this.attribute("to", 2, gl.FLOAT, 8);
    gl.bindBuffer(gl.ARRAY_BUFFER, made.colours);
    gl.bufferData(gl.ARRAY_BUFFER, 2 * points.length, gl.DYNAMIC_DRAW);
    this.attribute("ink", 4, gl.UNSIGNED_BYTE, 0);
    gl.bindVertexArray(null);
    return made;
  }

  /** Give lines their colours: red, green, blue and alpha of each point. */
  colourLines(lines: Lines, colours: Uint8Array): void {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, lines.colours);
    this.gl.bufferSubData(this.gl.ARRAY_BUFFER, 0, colours);
  }

  forgetLines(lines: Lines): void {
    this.gl.deleteVertexArray(lines.array);
    this.gl.deleteBuffer(lines.points);
    this.gl.deleteBuffer(lines.colours);
  }

  /** Draw lines in their colours, or all in one colour (then with its opacity); the width is in pixels of the page. */
  drawLines(lines: Lines, width: number, colour: Rgb = [0, 0, 0], opacity = 0): void {
    if (!lines.pieces) return;
    const gl = this.gl;
    const [x, y] = this.onScreen(lines.origin[0], lines.origin[1]);
    gl.useProgram(this.lines.program);
    gl.bindVertexArray(lines.array);
    gl.uniform2f(this.lines.at("shift"), x, y);
    gl.uniform1f(this.lines.at("scale"), this.scale);
    gl.uniform2f(this.lines.at("size"), this.canvas.width, this.canvas.height);
    gl.uniform1f(this.lines.at("width"), width * this.ratio);
    gl.uniform4f(this.lines.at("halo"), colour[0] / 255, colour[1] / 255, colour[2] / 255, opacity);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, lines.pieces);
    gl.bindVertexArray(null);
  }

  /** Pixels of the graphics card that a level-0 pixel has. */
  private get scale(): number {
    return 2 ** this.camera.zoom * this.ratio;
  }

  private onScreen(x: number, y: number): [number, number] {
    const [width, height] = [this.canvas.width, this.canvas.height];
    return [(x - this.camera.x) * this.scale + width / 2, (y - this.camera.y) * this.scale + height / 2];
  }

  private attribute(name: string, size: number, type: number, offset: number): void {
    const gl = this.gl;
    const at = gl.getAttribLocation(this.lines.program, name);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, type, type === gl.UNSIGNED_BYTE, type === gl.UNSIGNED_BYTE ? 4 : 8, offset);
    gl.vertexAttribDivisor(at, 1);
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
