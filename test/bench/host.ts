/** Runs a server in a child process: settings are an argument, the port is sent to the parent, and it exits with the parent. */

export async function serveUntilTold<Settings>(
  start: (settings: Settings) => Promise<{ port: number; stop(): Promise<void> }>,
): Promise<void> {
  const { port, stop } = await start(JSON.parse(process.argv[2] ?? "{}"));
  const leave = async (): Promise<void> => {
    await stop();
    process.exit(0);
  };
  process.once("SIGTERM", leave);
  process.once("disconnect", leave);
  process.send?.({ port });
}
