/** The container's health check: exits with 0 while the mirror, which is the container's first process, is healthy. */
import { readFileSync } from "node:fs";
import { healthOf } from "../local/health.ts";

const [, port = "8787"] = /\0--port[=\0](\d+)\0/.exec(readFileSync("/proc/1/cmdline", "utf8")) ?? [];
const health = await healthOf("127.0.0.1", Number(port));
process.exit(health?.status === "ok" ? 0 : 1);
