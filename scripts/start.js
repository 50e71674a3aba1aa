/** `npm start`, by way of the compile cache. */
import "./compile-cache.js";

await import("./start.ts");
