#!/usr/bin/env node
/** `npm run portolan -- COMMAND`: what a person does with images, mirrors and their configuration. */
import { Command } from "commander";
import { config } from "./commands/config.ts";
import { key } from "./commands/key.ts";
import { verify } from "./commands/verify.ts";

/** Each command is a file of `commands/`, which reads its options and says what it found; the work is done elsewhere. */
const COMMANDS: readonly Command[] = [config, key, verify];

const program = new Command("portolan").description(
  "Checks, copies and sets up what a mirror of container images gives.",
);
for (const command of COMMANDS) program.addCommand(command);
await program.parseAsync();
