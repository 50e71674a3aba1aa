#!/usr/bin/env node
/** `npm run portolan -- COMMAND`: what a person does with images, mirrors and their configuration. */
import { Command } from "commander";
import { config } from "./commands/config.ts";
import { copy } from "./commands/copy.ts";
import { deploy } from "./commands/deploy.ts";
import { doctor } from "./commands/doctor.ts";
import { inspect } from "./commands/inspect.ts";
import { key } from "./commands/key.ts";
import { mirrors } from "./commands/mirrors.ts";
import { sync } from "./commands/sync.ts";
import { verify } from "./commands/verify.ts";
import { warm } from "./commands/warm.ts";

/** Each command is a file of `commands/`, which reads its options and says what it found; the work is done elsewhere. */
const COMMANDS: readonly Command[] = [
  config,
  verify,
  inspect,
  warm,
  mirrors,
  doctor,
  copy,
  sync,
  key,
  deploy,
];

const program = new Command("portolan").description(
  "Checks, copies and sets up what a mirror of container images gives.",
);
for (const command of COMMANDS) program.addCommand(command);
await program.parseAsync();
