/** Runs Portolan as `npm start` does, in a separate process, so that its cost is measured apart from the benchmark's. */
import { startMirror } from "../../scripts/local/mirror.ts";
import { serveUntilTold } from "./host.ts";

interface Settings {
  upstream: string;
  data: string;
  /** The upstream's own proxy. */
  proxy?: string;
}

await serveUntilTold(({ upstream, data, proxy }: Settings) =>
  startMirror({
    port: 0,
    host: "127.0.0.1",
    data,
    vars: {
      UPSTREAMS: JSON.stringify({
        "docker.io": { endpoints: [upstream], insecure: true, ...(proxy ? { proxy } : {}) },
      }),
    },
    onMessage: ({ level, text }) => process.stderr.write(`${level}: ${text}\n`),
  }),
);
