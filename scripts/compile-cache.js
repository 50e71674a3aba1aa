/**
 * Has Node keep what it compiles, without types, for all that is imported after this. JavaScript, so that what strips the types isn't
 * even loaded where the cache has the program without them: that takes a quarter of a second and 25 MB.
 * In the project's own folder: what lies in one that others may write to would be run as code.
 */
import module from "node:module";
import { fileURLToPath } from "node:url";

module.enableCompileCache?.(fileURLToPath(new URL("../node_modules/.cache/portolan", import.meta.url)));
