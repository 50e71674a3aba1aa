/** The mirror of a soak of hosted repositories, in a process of its own: settings are an argument, the port is its message. */
import { startMirror } from "../../../scripts/local/mirror.ts";
import { serveUntilTold } from "../../bench/host.ts";

interface Settings {
  data: string;
  adminKey: string;
  /** Milliseconds for which unreferenced content stays. */
  grace: number;
}

await serveUntilTold(({ data, adminKey, grace }: Settings) =>
  startMirror({
    port: 0,
    host: "127.0.0.1",
    data,
    vars: { ADMIN_KEY: adminKey },
    timing: { hostedGrace: grace },
    onMessage: ({ level, text }) => process.stderr.write(`${level}: ${text}\n`),
  }),
);
