/** Preloaded into a program: says at its end, as one line on the standard error, which modules it has loaded. */
import { registerHooks } from "node:module";

const loaded: string[] = [];
registerHooks({
  load: (url, context, next) => {
    loaded.push(url);
    return next(url, context);
  },
});
process.on("exit", () => process.stderr.write(`\nloaded ${JSON.stringify(loaded)}\n`));
