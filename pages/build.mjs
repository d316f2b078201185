// Builds every page into dist/: assets/ with hashes in their names (safe to cache for ever), one HTML shell
// a page that names them, and a .br and .gz beside each file so that the server never compresses at run time.
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "dist");

/** One row a page: its shell's title and the sentence for previews. */
const pages = {
  door: { title: "Doorstep", description: "Home-service visits, live from request to doorstep." },
  dispatch: { title: "Dispatch · Doorstep", description: "Every active visit, live on one map." },
  track: { title: "Your arrival · Doorstep", description: "See when your technician will be at the door." },
  book: { title: "Book a visit · Doorstep", description: "Choose a service, see who comes and why, book." },
  system: { title: "System · Doorstep", description: "How the house stands, and the story of any request." },
  technician: { title: "Technician · Doorstep", description: "Today's visits, and the way to the next door." },
};

async function build() {
  await rm(out, { recursive: true, force: true });
  await mkdir(join(out, "assets"), { recursive: true });
  const worker = await addHashed(
    join(here, "node_modules/maplibre-gl/dist/maplibre-gl-worker.mjs"),
    "map-worker",
    ".js",
  );
  const icon = await addHashed(join(here, "src/icon.svg"), "icon", ".svg");
  const result = await esbuild.build({
    absWorkingDir: here,
    entryPoints: Object.fromEntries(Object.keys(pages).map((page) => [page, `src/${page}/main.ts`])),
    outdir: join(out, "assets"),
    entryNames: "[name]-[hash]",
    chunkNames: "chunk-[hash]",
    assetNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    target: ["es2022"],
    minify: true,
    sourcemap: false,
    legalComments: "none",
    metafile: true,
    define: { MAP_WORKER_URL: JSON.stringify(`/pages/assets/${worker}`) },
    logLevel: "warning",
  });
  const manifest = { worker: `assets/${worker}`, icon: `assets/${icon}`, pages: {} };
  for (const [file, info] of Object.entries(result.metafile.outputs)) {
    if (!info.entryPoint?.endsWith("/main.ts")) continue; // a lazily loaded chunk is an entry point too
    const page = basename(dirname(info.entryPoint));
    manifest.pages[page] = {
      script: asset(file),
      style: info.cssBundle ? asset(info.cssBundle) : null,
      preload: info.imports.filter((i) => i.kind === "import-statement").map((i) => asset(i.path)),
    };
  }
  for (const page of Object.keys(pages)) {
    await writeFile(join(out, `${page}.html`), shell(page, manifest));
  }
  await writeFile(join(out, "manifest.json"), JSON.stringify(manifest, null, 2));
  await compressAll();
}

function asset(path) {
  return `assets/${basename(path)}`;
}

async function addHashed(source, name, extension) {
  const bytes = await readFile(source);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 8).toUpperCase();
  const file = `${name}-${hash}${extension}`;
  await cp(source, join(out, "assets", file));
  return file;
}

function shell(page, manifest) {
  const { title, description } = pages[page];
  const { script, style, preload } = manifest.pages[page];
  const at = (path) => `/pages/${path}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${title}</title>
<meta name="description" content="${description}">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" media="(prefers-color-scheme: light)" content="#f5f4f0">
<meta name="theme-color" media="(prefers-color-scheme: dark)" content="#101413">
<link rel="icon" type="image/svg+xml" href="${at(manifest.icon)}">
${style ? `<link rel="stylesheet" href="${at(style)}">` : ""}
${preload.map((path) => `<link rel="modulepreload" href="${at(path)}">`).join("\n")}
<script type="module" src="${at(script)}"></script>
</head>
<body class="page-${page}">
<div id="app" aria-busy="true"></div>
<noscript><p class="noscript">Doorstep shows live positions, which needs JavaScript. Please switch it on for this page.</p></noscript>
</body>
</html>
`;
}

async function compressAll() {
  for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (![".js", ".css", ".svg", ".html"].includes(extname(path))) continue;
    const bytes = await readFile(path);
    const brotli = brotliCompressSync(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 10, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    });
    await writeFile(`${path}.br`, brotli);
    await writeFile(`${path}.gz`, gzipSync(bytes, { level: 9 }));
    console.log(`${relative(out, path).padEnd(36)} ${size(bytes)} → ${size(brotli)}`);
  }
}

function size(bytes) {
  return `${(bytes.length / 1024).toFixed(1)} kB`.padStart(10);
}

await build();
