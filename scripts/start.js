/** `npm start`, by way of the compile cache. */
import "./compile-cache.js";

// What is made from here on is for its owner, whichever process makes it.
process.umask(0o077);
const { start } = await import("./start.ts");
const { stdout, stderr } = process;
process.exit(await start(process.argv.slice(2), { stdout, stderr, cwd: process.cwd(), signals: process }));
