/** The GitHub Actions workflow of forks: what it runs exists, and only the deploy of the main branch sees a secret. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { PROJECT } from "../support/portolan.ts";

interface Step {
  uses?: string;
  run?: string;
  env?: Record<string, string>;
}

const text = readFileSync(join(PROJECT, ".github/workflows/deploy.yml"), "utf8");
const workflow = parse(text);
const { test: testJob, deploy } = workflow.jobs;
const steps: Step[] = [...testJob.steps, ...deploy.steps];

test("its actions are pinned to commits, each with its version beside it", () => {
  const used = [...text.matchAll(/uses: (.+)$/gm)].map(([, action = ""]) => action);
  expect(used.length).toBeGreaterThan(0);
  for (const action of used) expect(action).toMatch(/^actions\/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
});

test("it runs scripts of this project", () => {
  const { scripts } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8"));
  const commands = steps.flatMap(({ run }) => run ?? []);
  for (const command of commands) {
    const [, name = "ci"] = /^npm (?:run )?([a-z:]+)/.exec(command) ?? [];
    if (name !== "ci") expect(scripts, command).toHaveProperty([name]);
  }
  expect(commands).toContain("npm run deploy -- --no-doctor");
});

test("secrets are there for the deploy alone, which no pull request and no untested commit reaches", () => {
  expect(workflow.permissions).toEqual({ contents: "read" });
  expect(workflow.on).not.toHaveProperty("pull_request_target");
  expect(deploy.needs).toBe("test");
  expect(deploy.if).toContain("github.event_name != 'pull_request' && github.ref == 'refs/heads/main'");
  const withSecrets = steps.filter((step) => JSON.stringify(step).includes("secrets."));
  expect(withSecrets.map(({ run }) => run)).toEqual(["npm run deploy -- --no-doctor"]);
  expect(JSON.stringify(testJob)).not.toContain("secrets.");
});
