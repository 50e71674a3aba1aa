/** `node test/bench/eviction/run.ts [--json] [--seed N]…`: the table of docs/eviction.md. */
import { parseArgs } from "node:util";
import { CONTESTANTS, compare, MULTIPLES } from "./comparison.ts";
import { USUAL } from "./trace.ts";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    seed: { type: "string", multiple: true, default: ["1", "2", "3"] },
  },
});
const seeds = values.seed.map(Number);
if (seeds.some((seed) => !Number.isSafeInteger(seed))) throw new Error("--seed takes a whole number");

const comparison = compare(seeds, USUAL);
if (values.json) console.log(JSON.stringify(comparison, null, 2));
else {
  const { pulls, images, content, results } = comparison;
  const gigabytes = Math.round(content / 1e9);
  console.log(
    `${Math.round(pulls)} pulls of ${Math.round(images)} images, ${gigabytes} GB, mean of seeds ${seeds.join(", ")}\n`,
  );
  const percent = (share: number) => (share * 100).toFixed(1);
  console.log(`| policy | ${MULTIPLES.map((multiple) => `${multiple}×`).join(" | ")} |`);
  console.log(`|---|${MULTIPLES.map(() => "---").join("|")}|`);
  for (const { name } of CONTESTANTS) {
    const cells = MULTIPLES.map((multiple) => {
      const found = results.find((each) => each.name === name && each.multiple === multiple);
      return found ? [found.requestHits, found.byteHits, found.wholeImages].map(percent).join(" / ") : "";
    });
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
}
