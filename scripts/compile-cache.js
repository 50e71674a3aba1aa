/**
 * Makes Node cache compiled code for everything that is imported after this. It is JavaScript, so that the type stripper isn't
 * loaded when the cache already has the program: that would cost a quarter of a second and 25 MB.
 * The cache is in the project's folder: its content is run as code, so no other user may write to it.
 */
import module from "node:module";
import { fileURLToPath } from "node:url";

module.enableCompileCache?.(fileURLToPath(new URL("../node_modules/.cache/portolan", import.meta.url)));
