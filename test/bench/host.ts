/** The frame of a server's own process: settings come as an argument, the port goes to the parent, its end ends it. */

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
