/** `npm start`, with the compile cache. */
import "./compile-cache.js";

// Files created from here on are accessible to their owner only, in child processes too.
process.umask(0o077);
const { start } = await import("./start.ts");
const { stdout, stderr } = process;
process.exit(await start(process.argv.slice(2), { stdout, stderr, cwd: process.cwd(), signals: process }));
