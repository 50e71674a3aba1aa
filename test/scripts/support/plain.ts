/** Colours are decided by the environment of the process, in which Vitest has requested them. */
delete process.env.FORCE_COLOR;
process.env.NO_COLOR = "1";
