/** Colours are decided by the environment of the process, in which Vitest has asked for them. */
delete process.env.FORCE_COLOR;
process.env.NO_COLOR = "1";
