// Build the page: `node build.mjs FOLDER` writes index.html, viewer.js, viewer.css and THIRD_PARTY_LICENSES.txt there.

import { copyFile, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const folder = path.resolve(process.argv[2] ?? path.join(here, "..", "static"));
await mkdir(folder, { recursive: true });

const built = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.ts"],
  outfile: path.join(folder, "viewer.js"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});
for (const name of ["index.html", "viewer.css"]) await copyFile(path.join(here, name), path.join(folder, name));
await writeFile(path.join(folder, "THIRD_PARTY_LICENSES.txt"), await licences(Object.keys(built.metafile.inputs)));

/** The licence of each package of which a part is in the bundle. */
async function licences(inputs) {
  const packages = new Set(inputs.flatMap((name) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(name)?.[1] ?? []));
  if (!packages.size) return "The page of the viewer contains no code of other projects.\n";
  const texts = [...packages].sort().map(async (name) => {
    const files = (await readdir(path.join(here, name))).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
    if (!files.length) throw new Error(`${name} has no licence beside it`);
    const read = files.map((file) => readFile(path.join(here, name, file), "utf-8"));
    return `${name.replace(/^.*node_modules\//, "")}\n\n${(await Promise.all(read)).join("\n")}\n`;
  });
  return (await Promise.all(texts)).join(`${"-".repeat(80)}\n`);
}
